import { createHash, webcrypto } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, isAbsolute, join, normalize, relative, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { TtsVarError } from "../../core/errors.ts";

/** A file of a model folder as its manifest describes it. */
export interface ModelFile {
  /** Path inside the folder, with forward slashes. */
  readonly path: string;
  /** The model whose folder that is, by the name that it is known by; absent: the one of the manifest. */
  readonly of?: string;
  readonly sha256: string;
  /** Size, where the manifest gives it. */
  readonly bytes?: number;
}

/**
 * All files that a manifest vouches for, wherever they stand in it: records with `file` and `sha256`, and maps named
 * `files` from a path to its hash or to `{sha256, bytes}`. A record with `of` means the file of another model, which this
 * one shares instead of holding a copy.
 *
 * @throws TtsVarError MODEL_INVALID for a path that leaves the folder, or that is given two hashes
 */
export function listedFiles(manifest: unknown): ModelFile[] {
  const found = new Map<string, ModelFile>();
  const add = (path: string, sha256: string, bytes: unknown, of?: unknown): void => {
    const clean = normalize(path).replaceAll("\\", "/");
    if (isAbsolute(path) || clean.startsWith("..")) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `the manifest lists ${path}, which lies outside the model folder`,
      );
    }
    const key = typeof of === "string" ? `${of}:${clean}` : clean;
    if (found.has(key) && found.get(key)?.sha256 !== sha256) {
      throw new TtsVarError("MODEL_INVALID", `the manifest gives two SHA-256 hashes for ${path}`);
    }
    found.set(key, {
      path: clean,
      sha256,
      ...(typeof bytes === "number" ? { bytes } : {}),
      ...(typeof of === "string" ? { of } : {}),
    });
  };
  const visit = (value: unknown): void => {
    if (value === null || typeof value !== "object") return;
    const record = value as Record<string, unknown>;
    if (typeof record["file"] === "string" && typeof record["sha256"] === "string") {
      add(record["file"], record["sha256"], record["bytes"], record["of"]);
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

/** Bytes of the files that lie in the model's own folder; files that it shares are counted where they lie. */
export function ownBytes(files: readonly ModelFile[]): number {
  return files.reduce((sum, { bytes = 0, of }) => sum + (of === undefined ? bytes : 0), 0);
}

function addMap(files: object, add: (path: string, sha256: string, bytes: unknown) => void): void {
  for (const [path, entry] of Object.entries(files)) {
    if (typeof entry === "string") add(path, entry, undefined);
    else if (typeof entry?.sha256 === "string") add(path, entry.sha256, entry.bytes);
  }
}

/** Files of a folder, dotted ones left out; paths with forward slashes, sorted. */
export async function filesIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).replaceAll(sep, "/"))
    .filter((path) => !path.split("/").some((part) => part.startsWith(".")))
    .sort();
}

/** Files about a model that no loader reads. A graph may name any other file as the one with its weights. */
const NOTES = /\.(md|txt|pdf|png|jpe?g|webp|svg|csv|html|log)$|^(LICENSE|NOTICE|README)\b/i;
/** JSON files that loaders read, by fixed names. */
const READ = /^(config|preprocessor_config|tokenizer|tokenizer_config|aesthetic_head)\.json$/;

/**
 * A manifest vouches for a whole model: a file that it leaves out, or lists under another name, could be any, and the
 * model's identity would stay the same.
 *
 * @throws TtsVarError MODEL_INVALID naming the files that are not listed
 */
export async function expectAllListed(
  dir: string,
  files: readonly ModelFile[],
  remedy: string,
): Promise<void> {
  const own = files.filter(({ of }) => of === undefined);
  const listed = new Set(["manifest.json", ...own.map(({ path }) => path)]);
  const stray = (await filesIn(dir)).filter((path) => {
    const name = basename(path);
    return !listed.has(path) && !NOTES.test(name) && (extname(name) !== ".json" || READ.test(name));
  });
  if (stray.length === 0) return;
  throw new TtsVarError(
    "MODEL_INVALID",
    `${join(dir, "manifest.json")} does not list ${stray.slice(0, 5).join(", ")}; it must give the SHA-256 of every file that the model reads. Remove what does not belong to the model, or ${remedy}`,
    { details: { dir, files: stray } },
  );
}

/** @throws TtsVarError MODEL_INVALID for the little text that Git leaves where Git LFS did not fetch the file */
export async function refusePointer(path: string): Promise<void> {
  const start = "version https://git-lfs.github.com/spec/";
  const handle = await open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(start.length), 0, start.length, 0);
    if (bytesRead < start.length || buffer.toString("latin1") !== start) return;
  } finally {
    await handle.close();
  }
  throw new TtsVarError(
    "MODEL_INVALID",
    `${path} is a Git LFS pointer, not the file itself; run \`git lfs install && git lfs pull\` in its repository`,
    { details: { file: path } },
  );
}

/** Files up to this many bytes are read whole and hashed outside the calling thread, which goes on meanwhile. */
const AT_ONCE = 16 * 2 ** 20;

const known = new Map<string, { readonly stamp: string; readonly sha256: Promise<string> }>();

/** SHA-256 of a file's content. Remembered as long as size and modification time stay the same. */
export async function hashFile(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  const stamp = `${size}:${mtimeMs}`;
  const cached = known.get(path);
  if (cached?.stamp === stamp) return cached.sha256;
  const sha256 = size <= AT_ONCE ? hashWhole(path) : hashStream(path);
  known.set(path, { stamp, sha256 });
  sha256.catch(() => known.delete(path));
  return sha256;
}

async function hashWhole(path: string): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", await readFile(path))).toString("hex");
}

async function hashStream(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}

/**
 * Compares a file with what the manifest says of it.
 *
 * @throws TtsVarError MODEL_NOT_FOUND if it is missing, MODEL_INVALID if its size or hash is another, or if it is only
 *   Git LFS's pointer
 */
export async function verifyFile(path: string, file: ModelFile, remedy: string): Promise<void> {
  const size = await stat(path).then(
    (info) => info.size,
    () => undefined,
  );
  if (size === undefined) {
    throw new TtsVarError("MODEL_NOT_FOUND", `${path} is missing; ${remedy}`, { details: { file: path } });
  }
  await refusePointer(path);
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
