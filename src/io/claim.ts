import {
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { TtsVarError } from "../core/errors.ts";
import { atExit } from "./at-exit.ts";
import { makeFolder, outputError, removeEmpty, temporaryBeside } from "./atomic.ts";
import { processStart } from "./process-start.ts";

/** Who holds a claim: the content of its lock file. */
interface Holder {
  readonly program: "tts-var";
  readonly command: string;
  readonly pid: number;
  /** When the process began, in the system's own words: process ids are used again. Null if the system does not say. */
  readonly began: string | null;
  readonly host: string;
  readonly since: string;
}

/** The right to write somewhere, until it is released or the program ends. */
export interface Claim extends Disposable {
  release(): void;
}

const LOCK = "tts-var.lock";
/** Holders on other machines, which share the disk, show that they live by writing to their lock this often. */
const BEAT_MS = 15_000;
const SILENCE_MS = 60_000;
/** How often those who wait for a claim look at it. */
const POLL_MS = 200;

/** Claims a folder, which is made if it is missing. @throws OUTPUT_UNWRITABLE naming who holds it */
export function claimFolder(dir: string, command: string): Claim {
  return claim(join(dir, `.${LOCK}`), dir, command);
}

/** Claims a file, and respects a claim of its folder. @throws OUTPUT_UNWRITABLE naming who holds it */
export function claimFile(path: string, command: string): Claim {
  const folderLock = join(dirname(path), `.${LOCK}`);
  const holder = readHolder(folderLock);
  if (holder && isAlive(holder, folderLock, Date.now())) throw taken(dirname(path), holder);
  return claim(join(dirname(path), `.${basename(path)}.${LOCK}`), path, command);
}

/** Whether somebody writes into a folder right now. */
export function isFolderClaimed(dir: string): boolean {
  const lock = join(dir, `.${LOCK}`);
  const holder = readHolder(lock);
  return holder != null && isAlive(holder, lock, Date.now());
}

export interface WaitOptions {
  /** What the others are told about who holds it. */
  readonly command: string;
  readonly signal?: AbortSignal | undefined;
  /** Called once if somebody else is at work. */
  waiting?(): void;
}

/**
 * Does work that only one process (of any machine that shares the disk) may do at a time; the others wait.
 *
 * @param lock the claim's file; its folder must exist
 * @throws the file system's own errors, the signal's reason, and what the work throws
 */
export async function whileClaimed<T>(
  lock: string,
  work: () => Promise<T>,
  { command, signal, waiting }: WaitOptions,
): Promise<T> {
  for (let told = false; ; told = true) {
    const mine = tryHold(lock, contentFor(command));
    if ("release" in mine) {
      using _mine = mine;
      return await work();
    }
    if (!told) waiting?.();
    // The name is ours: what nobody can read there was cut off by a crash.
    if (mine.holder === null && isSilent(lock, Date.now())) rmSync(lock, { force: true });
    await pause(POLL_MS);
    signal?.throwIfAborted();
  }
}

function claim(lock: string, what: string, command: string): Claim {
  let made: readonly string[] = [];
  try {
    made = makeFolder(dirname(lock));
    const mine = tryHold(lock, contentFor(command), made);
    if ("release" in mine) return mine;
    throw taken(what, mine.holder);
  } catch (error) {
    removeEmpty(made);
    throw outputError(error, what);
  }
}

function contentFor(command: string): string {
  const holder: Holder = {
    program: "tts-var",
    command,
    pid: process.pid,
    began: processStart(process.pid),
    host: hostname(),
    since: new Date().toISOString(),
  };
  return `${JSON.stringify(holder)}\n`;
}

/** Takes the claim, or tells who has it; null: a lock that is none of ours. `made` are removed in the end if empty. */
function tryHold(
  lock: string,
  content: string,
  made: readonly string[] = [],
): Claim | { readonly holder: Holder | null } {
  const mine = temporaryBeside(lock);
  try {
    writeFileSync(mine, content, { flag: "wx" });
    // Written by the disk's clock, which the other machines' beats are compared with.
    const now = statSync(mine).mtimeMs;
    while (!takeLock(mine, lock)) {
      const other = readHolder(lock);
      if (other === undefined) continue;
      if (other === null || isAlive(other, lock, now)) return { holder: other };
      removeStale(lock, other);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  const descriptor = openSync(lock, "r+");
  const beat = setInterval(() => writeSync(descriptor, content, 0), BEAT_MS).unref();
  let held = true;
  const release = (): void => {
    if (!held) return;
    held = false;
    kept();
    clearInterval(beat);
    const same = lstatSync(lock, { throwIfNoEntry: false })?.ino === fstatSync(descriptor).ino;
    closeSync(descriptor);
    if (same) rmSync(lock, { force: true });
    removeEmpty(made);
  };
  const kept = atExit(release);
  return { release, [Symbol.dispose]: release };
}

/** Puts the lock in place, whole, unless there is one. */
function takeLock(mine: string, lock: string): boolean {
  try {
    linkSync(mine, lock);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // Some file systems have no hard links.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error;
  }
  try {
    writeFileSync(lock, readFileSync(mine), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Takes a dead holder's lock away; if another program has been faster and it is that one's lock, puts it back. */
function removeStale(lock: string, dead: Holder): void {
  const aside = temporaryBeside(lock);
  try {
    renameSync(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (JSON.stringify(readHolder(aside)) !== JSON.stringify(dead)) takeLock(aside, lock);
  rmSync(aside, { force: true });
}

/** Undefined: there is no lock. Null: a file that is none of ours. */
function readHolder(lock: string): Holder | null | undefined {
  let text: string;
  try {
    text = readFileSync(lock, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(text) as Holder | null;
    return value?.program === "tts-var" && Number.isInteger(value.pid) ? value : null;
  } catch {
    return null;
  }
}

/** @param now the time by the clock of the disk */
function isAlive({ host, pid, began }: Holder, lock: string, now: number): boolean {
  if (host !== hostname()) return !isSilent(lock, now);
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return began === null || (processStart(pid) ?? began) === began;
}

function isSilent(lock: string, now: number): boolean {
  const entry = lstatSync(lock, { throwIfNoEntry: false });
  return entry === undefined || now - entry.mtimeMs >= SILENCE_MS;
}

function taken(what: string, holder: Holder | null): TtsVarError {
  if (holder === null) {
    return new TtsVarError(
      "OUTPUT_UNWRITABLE",
      `${what} has a lock file that is not of this program; remove it, or choose another --out`,
    );
  }
  const { command, pid, host, since } = holder;
  const where = host === hostname() ? "" : ` on ${host}`;
  return new TtsVarError(
    "OUTPUT_UNWRITABLE",
    `${what} is in use: tts-var ${command} (process ${pid}${where}, since ${since}) writes there; ` +
      "wait for it or stop it, or choose another --out",
    { details: { path: what, holder: { command, pid, host, since } } },
  );
}
