import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { TtsVarError } from "../core/errors.ts";
import { packageRoot } from "../io/package-root.ts";

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly body: Uint8Array;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * The files of the page by name. An installed package has them built; in a clone they are bundled from their sources when
 * the studio starts, which takes a moment and leaves nothing behind.
 *
 * @throws TtsVarError USAGE when neither is at hand
 */
export async function loadPage(): Promise<ReadonlyMap<string, Asset>> {
  const files = (await bundled()) ?? (await built());
  if (!files)
    throw new TtsVarError("USAGE", "the studio's page is not built; run `npm ci` or `npm run build` once");
  return new Map(
    [...files].map(([name, body]) => [name, { body, type: TYPES[extname(name)] ?? "text/plain" }]),
  );
}

async function bundled(): Promise<ReadonlyMap<string, Uint8Array> | null> {
  const script = join(packageRoot(), "studio", "build.mjs");
  if (!existsSync(script)) return null;
  try {
    const { bundle } = (await import(pathToFileURL(script).href)) as {
      bundle(): Promise<ReadonlyMap<string, Uint8Array>>;
    };
    return await bundle();
  } catch (error) {
    // A clone without development dependencies can still show what was built.
    if ((error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") return null;
    throw error;
  }
}

async function built(): Promise<ReadonlyMap<string, Uint8Array> | null> {
  const folder = join(packageRoot(), "dist", "studio");
  const names = await readdir(folder).catch(() => null);
  if (!names) return null;
  const files = await Promise.all(names.map((name) => readFile(join(folder, name))));
  return new Map(names.map((name, index) => [name, files[index]!]));
}
