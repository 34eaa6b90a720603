import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { withDeadline } from "../../core/deadline.ts";
import { TtsVarError } from "../../core/errors.ts";
import { makeFolder } from "../../io/atomic.ts";
import { ask, type HubFile } from "./hub-listing.ts";

export interface FetchOptions {
  readonly id: string;
  readonly signal?: AbortSignal;
  readonly patienceMs?: number;
}

const PATIENCE_MS = 60_000;
/** A hub that is slower than this on the whole (20 KB a second, ten minutes free) counts as broken. */
const SLOWEST_BYTES_PER_MS = 20;
const FREE_MS = 600_000;

/**
 * Keeps the file if it is right; else downloads to `path.part`, continuing where an earlier attempt stopped, and renames
 * when the hash is right. What an earlier attempt left of another version is thrown away. The caller holds the folder.
 *
 * @returns the file's SHA-256
 * @throws MODEL_NOT_FOUND when the download breaks off; MODEL_INVALID when another file arrives than was announced
 */
export async function fetchFile(
  url: string,
  path: string,
  file: HubFile,
  options: FetchOptions,
): Promise<string> {
  if ((await sizeOf(path)) === file.bytes) {
    const kept = await verify(path, file);
    if (kept.ok) return kept.sha256;
  }
  makeFolder(dirname(path));
  const part = `${path}.part`;
  for (;;) {
    const have = await sizeOf(part);
    const resumed = have > 0 && have <= file.bytes;
    if (have > file.bytes) await rm(part, { force: true });
    if (have !== file.bytes || have === 0) await append(url, part, resumed ? have : 0, file, options);
    const { ok, sha256 } = await verify(part, file);
    if (ok) {
      await rename(part, path);
      return sha256;
    }
    await rm(part, { force: true });
    if (resumed) continue;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${url} arrived damaged (sha256 ${sha256}, expected ${file.sha256 ?? file.blobId}); run the command again`,
    );
  }
}

/** Fetches the file from byte `have` on. */
async function append(
  url: string,
  part: string,
  have: number,
  file: HubFile,
  { id, signal, patienceMs = PATIENCE_MS }: FetchOptions,
): Promise<void> {
  const broken = (why: string, cause?: unknown): TtsVarError =>
    new TtsVarError(
      "MODEL_NOT_FOUND",
      `the download of ${url} broke off${why}; run the command again to resume it`,
      { cause },
    );
  const silent = (): Error => broken(` (nothing came for ${patienceMs / 1000} s)`);
  const transfer = async (within: AbortSignal): Promise<void> => {
    const range: Record<string, string> = have > 0 ? { range: `bytes=${have}-` } : {};
    const response = await withDeadline((soon) => ask(url, range, id, soon), {
      signal: within,
      timeoutMs: patienceMs,
      late: silent,
    });
    // A hub that ignores the range, or answers another one, sends the file from its start.
    const continues =
      response.status === 206 &&
      (response.headers.get("content-range")?.startsWith(`bytes ${have}-`) ?? true);
    const reader = response.body?.getReader();
    const handle = await open(part, continues ? "a" : "w");
    try {
      // 416: there is no such range, so that what is here belongs to another version; it is empty now.
      if (response.status === 416 || !reader) return;
      let size = continues ? have : 0;
      for (;;) {
        const { done, value } = await withDeadline(() => reader.read(), {
          signal: within,
          timeoutMs: patienceMs,
          late: silent,
        });
        if (done) return;
        size += value.length;
        if (size > file.bytes) throw tooLong(url, file);
        await writeAll(handle, value);
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof TtsVarError || isWriteError(error)) throw error;
      throw broken("", error);
    } finally {
      void reader?.cancel().catch(() => undefined);
      await handle.close();
    }
  };
  const timeoutMs = FREE_MS + Math.min(file.bytes / SLOWEST_BYTES_PER_MS, 2 ** 30);
  await withDeadline(transfer, { signal, timeoutMs, late: () => broken(" (it is too slow)") });
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
}

/** Failed writes name the system call; failed connections do not, or another one. */
function isWriteError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null)?.syscall === "write";
}

function tooLong(url: string, file: HubFile): TtsVarError {
  return new TtsVarError(
    "MODEL_INVALID",
    `${url} sends more than the ${file.bytes} bytes that the hub announced; it is not the file that was listed`,
  );
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

async function verify(path: string, file: HubFile): Promise<{ ok: boolean; sha256: string }> {
  const { size } = await stat(path);
  const sha = createHash("sha256");
  const blob = createHash("sha1").update(`blob ${size}\0`);
  await pipeline(createReadStream(path), async (source) => {
    for await (const chunk of source) {
      sha.update(chunk as Buffer);
      blob.update(chunk as Buffer);
    }
  });
  const sha256 = sha.digest("hex");
  const rightHash = file.sha256
    ? file.sha256 === sha256
    : file.blobId
      ? file.blobId === blob.digest("hex")
      : true;
  return { ok: size === file.bytes && rightHash, sha256 };
}
