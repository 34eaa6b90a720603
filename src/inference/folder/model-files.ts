import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { isAbsolute, normalize } from "node:path";
import { pipeline } from "node:stream/promises";
import { TtsVarError } from "../../core/errors.ts";

/** A file of a model folder as its manifest describes it. */
export interface ModelFile {
  /** Path inside the folder, with forward slashes. */
  readonly path: string;
  readonly sha256: string;
  /** Size, where the manifest gives it. */
  readonly bytes?: number;
}

/**
 * All files that a manifest vouches for, wherever they stand in it: records with `file` and `sha256`, and maps named
 * `files` from a path to its hash or to `{sha256, bytes}`.
 *
 * @throws TtsVarError MODEL_INVALID for a path that leaves the folder
 */
export function listedFiles(manifest: unknown): ModelFile[] {
  const found = new Map<string, ModelFile>();
  const add = (path: string, sha256: string, bytes: unknown): void => {
    const clean = normalize(path).replaceAll("\\", "/");
    if (isAbsolute(path) || clean.startsWith("..")) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `the manifest lists ${path}, which lies outside the model folder`,
      );
    }
    found.set(clean, { path: clean, sha256, ...(typeof bytes === "number" ? { bytes } : {}) });
  };
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    const record = value as Record<string, unknown>;
    if (typeof record["file"] === "string" && typeof record["sha256"] === "string") {
      add(record["file"], record["sha256"], record["bytes"]);
      return;
    }
    for (const [key, child] of Object.entries(record)) {
      if (key === "files" && child !== null && typeof child === "object") addMap(child, add);
      else visit(child);
    }
  };
  visit(manifest);
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function addMap(files: object, add: (path: string, sha256: string, bytes: unknown) => void): void {
  for (const [path, entry] of Object.entries(files)) {
    if (typeof entry === "string") add(path, entry, undefined);
    else if (typeof entry?.sha256 === "string") add(path, entry.sha256, entry.bytes);
  }
}

const known = new Map<string, { readonly stamp: string; readonly sha256: string }>();

/** SHA-256 of a file's content. Remembered as long as size and modification time stay the same. */
export async function hashFile(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  const stamp = `${size}:${mtimeMs}`;
  const cached = known.get(path);
  if (cached?.stamp === stamp) return cached.sha256;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  const sha256 = hash.digest("hex");
  known.set(path, { stamp, sha256 });
  return sha256;
}

/**
 * Compares a file with what the manifest says of it.
 *
 * @throws TtsVarError MODEL_NOT_FOUND if it is missing, MODEL_INVALID if its size or hash is another
 */
export async function verifyFile(path: string, file: ModelFile, remedy: string): Promise<void> {
  const size = await stat(path).then(
    (info) => info.size,
    () => undefined,
  );
  if (size === undefined) {
    throw new TtsVarError("MODEL_NOT_FOUND", `${path} is missing; ${remedy}`, { details: { file: path } });
  }
  if (file.bytes !== undefined && size !== file.bytes) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${path} has ${size} bytes, but its manifest says ${file.bytes}` +
        `${size < file.bytes ? " (a truncated copy?)" : ""}; ${remedy}`,
      { details: { file: path, expectedBytes: file.bytes, foundBytes: size } },
    );
  }
  const sha256 = await hashFile(path);
  if (sha256 !== file.sha256) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${path} has SHA-256 ${sha256}, but its manifest says ${file.sha256}; ${remedy}`,
      { details: { file: path, expected: file.sha256, found: sha256 } },
    );
  }
}
