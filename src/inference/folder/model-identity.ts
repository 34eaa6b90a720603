import { createHash } from "node:crypto";
import { canonicalJson } from "../../core/canonical-json.ts";
import type { ModelFile } from "./model-files.ts";

/** What a manifest says about a model without changing what the model does. */
const NOTES: ReadonlySet<string> = new Set(["card", "license", "source", "training", "verification"]);

/**
 * Identities that were published when an identity covered the files alone. Each stands for one manifest, given by its
 * hash, so that calibrations and tables that name it stay true.
 */
const PUBLISHED: ReadonlyMap<string, string> = new Map([
  ["bcd4a3a555f173e1", "ec0f0b80213b7974"], // detector-a
  ["93fbf7adda181d6d", "6db817da63081cda"], // detector-b
  ["8bf7811f0c2c7659", "ec0021b419194711"], // dual-encoder
]);

/**
 * Identity of a model with a manifest. It covers every value that can change a result: code magnitudes, positions,
 * sampling and costs no less than the hashes of the files.
 */
export function manifestIdentity(
  manifest: Readonly<Record<string, unknown>> & { readonly name: string },
): string {
  const decisive = Object.fromEntries(Object.entries(manifest).filter(([key]) => !NOTES.has(key)));
  const hash = short(canonicalJson(decisive));
  return `${manifest.name}@${PUBLISHED.get(hash) ?? hash}`;
}

/** Identity of a folder without a manifest: its files. */
export function filesIdentity(name: string, files: readonly ModelFile[]): string {
  return `${name}@${short(files.map(({ path, sha256 }) => `${path}:${sha256}\n`).join(""))}`;
}

function short(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
