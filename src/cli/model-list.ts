import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type CommercialUse, commercialUse } from "../core/licence.ts";
import type { Listing } from "../core/registry.ts";
import { ownBytes } from "../inference/folder/model-files.ts";
import { listEmbeddedModels, type ModelFolder } from "../inference/folder/model-folder.ts";

/** What a user must know before shipping something that holds a model. */
export interface Terms {
  readonly license: string;
  /** Null where it is not known before the weights are at hand. */
  readonly bytes: number | null;
  /** Hash by which runs name the weights, or the SHA-256 of their main file; null as for `bytes`. */
  readonly hash: string | null;
  readonly commercial: CommercialUse;
}

/** A model as `tts-var list models` shows it. */
export interface ModelListing extends Listing, Terms {
  readonly source: string;
}

/** The embedded models. */
export async function listModels(): Promise<ModelListing[]> {
  return Promise.all(
    (await listEmbeddedModels()).map(async (folder): Promise<ModelListing> => {
      const { dir, name, kind, version, files, modelId, manifest } = folder;
      const license = await licenseOf(folder);
      return {
        name,
        summary: `${kind}, version ${version}`,
        source: sourceOf(manifest["source"]) ?? `${basename(dirname(dir))}/${name}/card.md`,
        license,
        bytes: ownBytes(files),
        hash: modelId.split("@").at(-1)!,
        commercial: commercialUse(license),
      };
    }),
  );
}

/** As the manifest states it, or else the card. */
async function licenseOf({ dir, manifest }: ModelFolder): Promise<string> {
  if (typeof manifest["license"] === "string") return manifest["license"];
  const card = await readFile(join(dir, "card.md"), "utf8").catch(() => "");
  return /under\s+the\s+licence\s+of\s+this\s+repository/.test(card) ? "MIT" : "unstated";
}

/** What a manifest says of where its weights come from: a text, or the package that held them. */
function sourceOf(stated: unknown): string | undefined {
  if (typeof stated === "string") return stated;
  const { package: from, version } = (stated ?? {}) as { package?: unknown; version?: unknown };
  return typeof from === "string" ? `${from} ${version ?? ""}`.trim() : undefined;
}
