import { randomBytes } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { TtsVarError } from "../core/errors.ts";

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full; free some space or choose a folder on another disk with --out",
  EDQUOT: "the disk quota is used up; free some space or choose another folder with --out",
  EFBIG: "the file system does not allow a file of this size; choose another folder with --out",
  EACCES: "this user may not write there; change the permissions or choose another folder with --out",
  EPERM: "this user may not write there; change the permissions or choose another folder with --out",
  EROFS: "the file system is read-only; choose another folder with --out",
  ENOTDIR: "a part of the path is a file, not a folder; choose another folder with --out",
  EEXIST: "a file of that name is in the way; choose another folder with --out",
  EISDIR: "a folder of that name is in the way; choose another path",
  ENAMETOOLONG: "the name is too long; choose a shorter one",
};

/**
 * Turns a failed write into the error that a user can act on. Errors that are no file-system errors pass unchanged.
 */
export function outputError(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (error instanceof TtsVarError || typeof code !== "string" || !/^E[A-Z0-9]+$/.test(code)) return error;
  const remedy = REMEDIES[code] ?? "choose another folder with --out";
  return new TtsVarError("OUTPUT_UNWRITABLE", `cannot write ${path} (${code}): ${remedy}`, {
    details: { path, errno: code },
    cause: error,
  });
}

/**
 * Makes a folder and its missing parents; returns the first one that had to be made. (Node's own recursive mkdir never
 * returns on file systems such as /proc that answer "no such file" to every new name.)
 *
 * @throws the file system's own error
 */
export function makeFolder(path: string): string | undefined {
  const missing: string[] = [];
  let folder = resolve(path);
  for (;;) {
    const entry = statSync(folder, { throwIfNoEntry: false });
    if (entry?.isDirectory()) break;
    if (entry) throw Object.assign(new Error(`${folder} is a file`), { code: "ENOTDIR" });
    missing.unshift(folder);
    folder = dirname(folder);
  }
  for (const next of missing) {
    try {
      mkdirSync(next);
    } catch (error) {
      // Another process may have been faster.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !statSync(next).isDirectory()) throw error;
    }
  }
  return missing[0];
}

/** Names of the temporary files of `writeFileAtomic`; a killed program may leave one behind. */
export const temporaryName = /^\..+\.\d+-[0-9a-f]{8}$/;

/**
 * Writes a file so that readers see the old content or the new one, never a part: a temporary file in the same folder,
 * flushed to disk, then renamed. Missing parent folders are made. After a failure nothing new is left behind.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE when the file system refuses (full, read-only, no permission, ...)
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = join(
    dirname(path),
    `.${basename(path)}.${process.pid}-${randomBytes(4).toString("hex")}`,
  );
  try {
    makeFolder(dirname(path));
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw outputError(error, path);
  }
}

/** JSON with two-space indentation and a final newline, written atomically. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Fails now, before any model loads, if files cannot be made in `dir`. Writes and removes a small file; folders that
 * had to be made for it are removed again.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE
 */
export async function probeWritable(dir: string): Promise<void> {
  const target = resolve(dir);
  let made: string | undefined;
  try {
    made = makeFolder(target);
    // One block, so that a full disk shows here and not at the end of the search.
    await writeFileAtomic(join(target, ".tts-var-probe"), new Uint8Array(4096));
    await rm(join(target, ".tts-var-probe"), { force: true });
  } catch (error) {
    const cause = error instanceof TtsVarError ? error.cause : error;
    throw outputError(cause, target);
  } finally {
    if (made !== undefined) await rm(made, { recursive: true, force: true }).catch(() => undefined);
  }
}
