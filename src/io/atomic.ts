import { randomBytes } from "node:crypto";
import { lstatSync, mkdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { atExit } from "./at-exit.ts";
import { outputTarget, writeToTarget } from "./output-target.ts";

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
  ELOOP: "its links lead in a circle; choose another path",
  EPIPE: "whoever read it has gone",
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
 * Makes a folder and its missing parents. (Node's own recursive mkdir never returns on file systems such as /proc that
 * answer "no such file" to every new name.)
 *
 * @returns the folders that this call made, outermost first
 * @throws the file system's own error
 */
export function makeFolder(path: string): string[] {
  const made: string[] = [];
  // A program that finds its folder empty may remove it between two of the calls; it does so once.
  for (let attempt = 1; ; attempt++) {
    try {
      for (const next of missingFolders(path)) {
        mkdirSync(next);
        made.push(next);
      }
      return made;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const raced = code === "EEXIST" || code === "ENOENT";
      if (!raced || attempt > 10) throw error;
    }
  }
}

/** Removes folders that `makeFolder` made, as far as nobody has put anything into them. */
export function removeEmpty(folders: readonly string[]): void {
  try {
    for (const folder of [...folders].reverse()) rmdirSync(folder);
  } catch {
    // Not empty, or gone: it is somebody else's now.
  }
}

/** @throws ENOTDIR */
function missingFolders(path: string): string[] {
  const missing: string[] = [];
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const entry = statSync(folder, { throwIfNoEntry: false });
    if (entry?.isDirectory()) return missing;
    // A link that leads nowhere is in the way as a file is.
    if (entry || lstatSync(folder, { throwIfNoEntry: false }))
      throw Object.assign(new Error(`${folder} is no folder`), { code: "ENOTDIR" });
    missing.unshift(folder);
  }
}

/** Names of the temporary files of `writeFileAtomic`; a killed program may leave one behind. */
export const temporaryName = /^\..+\.\d+-[0-9a-f]{8}$/;

/** A name beside `path` that nobody else uses. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${randomBytes(4).toString("hex")}`);
}

/**
 * Writes a file so that readers see the old content or the new one, never a part: a temporary file in the same folder,
 * flushed to disk, then renamed. Missing parent folders are made. After a failure nothing new is left behind. Links are
 * followed and stay; devices and pipes are written to.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE when the file system refuses (full, read-only, no permission, ...)
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  try {
    const target = outputTarget(path);
    if (target.kind === "file") await replaceFile(target.path, data, target.mode);
    else await writeToTarget(target, data);
  } catch (error) {
    throw outputError(error, path);
  }
}

async function replaceFile(path: string, data: string | Uint8Array, mode: number | null): Promise<void> {
  makeFolder(dirname(path));
  const temporary = temporaryBeside(path);
  const remove = (): void => rmSync(temporary, { force: true });
  const kept = atExit(remove);
  try {
    const handle = await open(temporary, "wx");
    try {
      if (mode !== null) await handle.chmod(mode);
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    remove();
    throw error;
  } finally {
    kept();
  }
}

/** JSON with two-space indentation and a final newline, written atomically. */
export async function writeJsonAtomic(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Fails now, before any model loads, if files cannot be made in `dir`: writes and removes a small file there, or in the
 * nearest folder above that exists. No folder is made, so none has to be removed.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE
 */
export async function probeWritable(dir: string): Promise<void> {
  const target = resolve(dir);
  try {
    const [first] = missingFolders(target);
    const probe = temporaryBeside(join(first === undefined ? target : dirname(first), "tts-var-probe"));
    // One block, so that a full disk shows here and not at the end of the search.
    await replaceFile(probe, new Uint8Array(4096), null);
    rmSync(probe, { force: true });
  } catch (error) {
    throw outputError(error, target);
  }
}
