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

function claim(lock: string, what: string, command: string): Claim {
  const holder: Holder = {
    program: "tts-var",
    command,
    pid: process.pid,
    began: processStart(process.pid),
    host: hostname(),
    since: new Date().toISOString(),
  };
  try {
    const made = makeFolder(dirname(lock));
    return hold(lock, `${JSON.stringify(holder)}\n`, what, made);
  } catch (error) {
    throw outputError(error, what);
  }
}

function hold(lock: string, content: string, what: string, made: readonly string[]): Claim {
  const mine = temporaryBeside(lock);
  try {
    writeFileSync(mine, content, { flag: "wx" });
    // Written by the disk's clock, which the other machines' beats are compared with.
    const now = statSync(mine).mtimeMs;
    while (!takeLock(mine, lock)) {
      const other = readHolder(lock);
      if (other === undefined) continue;
      if (other === null || isAlive(other, lock, now)) throw taken(what, other);
      removeStale(lock, other);
    }
  } catch (error) {
    removeEmpty(made);
    throw error;
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
  if (host !== hostname()) {
    const entry = lstatSync(lock, { throwIfNoEntry: false });
    return entry !== undefined && now - entry.mtimeMs < SILENCE_MS;
  }
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return began === null || (processStart(pid) ?? began) === began;
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
