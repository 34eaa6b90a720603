import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  writeSync,
} from "node:fs";
import { Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

/** What stands where a file is to be written, links followed. */
export type OutputTarget =
  /** A plain file, or nothing yet; `mode`: permissions of the one that is there. */
  | { readonly kind: "file"; readonly path: string; readonly mode: number | null }
  /** A device or a named pipe: it is written to, never replaced. */
  | { readonly kind: "stream"; readonly path: string }
  /** An open descriptor of this process by name, such as /dev/stdout. */
  | { readonly kind: "descriptor"; readonly descriptor: number };

const MOST_LINKS = 40;
const POLL_MS = 20;

function fault(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/**
 * Follows links to where writing leads.
 *
 * @throws the file system's own error: EISDIR, ELOOP, ENOTDIR, EACCES, ...
 */
export function outputTarget(path: string): OutputTarget {
  let at = resolve(path);
  for (let links = 0; links < MOST_LINKS; links++) {
    at = join(realFolder(dirname(at)), basename(at));
    const descriptor = descriptorOf(at);
    if (descriptor !== null) return { kind: "descriptor", descriptor };
    const entry = lstatSync(at, { throwIfNoEntry: false });
    if (entry === undefined) return { kind: "file", path: at, mode: null };
    if (entry.isDirectory()) throw fault("EISDIR", at);
    if (entry.isFile()) return { kind: "file", path: at, mode: entry.mode & 0o7777 };
    if (!entry.isSymbolicLink()) return { kind: "stream", path: at };
    at = resolve(dirname(at), readlinkSync(at));
  }
  throw fault("ELOOP", at);
}

/** The folder without links; as it is if it does not exist yet. */
function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return folder;
    throw error;
  }
}

/** N for /dev/fd/N, and for what /dev/stdout and the like lead to. */
function descriptorOf(path: string): number | null {
  const [, process_, text] = /^(?:\/dev\/fd|\/proc\/(\d+|self|thread-self)\/fd)\/(\d+)$/.exec(path) ?? [];
  const own = process_ === undefined || !/^\d/.test(process_) || Number(process_) === process.pid;
  return text !== undefined && own ? Number(text) : null;
}

/** Whether the path is this process's stdout by name, such as /dev/stdout. */
export function isStdout(path: string): boolean {
  try {
    const target = outputTarget(path);
    return target.kind === "descriptor" && target.descriptor === 1;
  } catch {
    return false;
  }
}

/**
 * Writes all of it to a device, a pipe or an open descriptor. A pipe is waited for until someone reads it, in a way that
 * a signal can end.
 *
 * @throws the file system's own error; EPIPE when the reader has gone
 */
export async function writeToTarget(
  target: Exclude<OutputTarget, { kind: "file" }>,
  data: string | Uint8Array,
): Promise<void> {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  if (target.kind === "stream") return writeStream(target.path, bytes);
  const { descriptor } = target;
  // A pipe is opened anew: writing to a descriptor that others share can block.
  if (fstatSync(descriptor).isFIFO()) return writeStream(`/dev/fd/${descriptor}`, bytes);
  return writeDescriptor(descriptor, bytes);
}

async function writeStream(path: string, bytes: Uint8Array): Promise<void> {
  const descriptor = await openForWriting(path);
  if (!fstatSync(descriptor).isFIFO()) {
    await writeDescriptor(descriptor, bytes).finally(() => closeSync(descriptor));
    return;
  }
  const pipe = new Socket({ fd: descriptor, readable: false, writable: true });
  try {
    await new Promise<void>((done, fail) => {
      pipe.once("error", fail);
      pipe.write(bytes, () => done());
    });
  } finally {
    pipe.destroy();
  }
}

/** Opening a pipe that nobody reads would block a thread that the program has to wait for when it exits; so it polls. */
async function openForWriting(path: string): Promise<number> {
  for (;;) {
    try {
      return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    } catch (error) {
      const unread = (error as NodeJS.ErrnoException).code === "ENXIO" && lstatSync(path).isFIFO();
      if (!unread) throw error;
      await pause(POLL_MS);
    }
  }
}

async function writeDescriptor(descriptor: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await pause(POLL_MS);
    }
  }
}
