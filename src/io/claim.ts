import { randomBytes } from "node:crypto";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";

export interface ClaimOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called once if somebody else is at work. */
  waiting?(): void;
  /** Milliseconds after which a claim that its holder does not renew counts as left behind. */
  readonly staleMs?: number;
}

const POLL_MS = 200;
const STALE_MS = 30_000;

/**
 * Does work that only one process (of any machine that shares the file system) may do at a time; the others wait. The
 * claim is a small file that its holder renews. One that a crash left behind is taken over: at once if its process was on
 * this machine, after `staleMs` without a renewal otherwise.
 *
 * @param path the claim's file; its folder must exist
 * @throws the file system's own errors, the signal's reason, and what the work throws
 */
export async function whileClaimed<T>(
  path: string,
  work: () => Promise<T>,
  { signal, waiting, staleMs = STALE_MS }: ClaimOptions = {},
): Promise<T> {
  const claim = JSON.stringify({ host: hostname(), pid: process.pid, token: randomBytes(8).toString("hex") });
  let told = false;
  let seen = "";
  let unchangedMs = 0;
  while (!(await take(path, claim))) {
    if (!told) waiting?.();
    told = true;
    const now = await look(path);
    unchangedMs = now === seen ? unchangedMs + POLL_MS : 0;
    seen = now;
    // Removing a claim that was renewed this very moment would let two work at once; what they write is checked anyway.
    if (holderIsGone(now) || unchangedMs >= staleMs) await rm(path, { force: true });
    else await pause(POLL_MS);
    signal?.throwIfAborted();
  }
  const renew = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, staleMs / 6).unref();
  try {
    return await work();
  } finally {
    clearInterval(renew);
    if ((await readFile(path, "utf8").catch(() => "")) === claim) await rm(path, { force: true });
  }
}

async function take(path: string, claim: string): Promise<boolean> {
  try {
    await writeFile(path, claim, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Holder and time of the last renewal; "" if the claim is gone. */
async function look(path: string): Promise<string> {
  try {
    return `${(await stat(path)).mtimeMs} ${await readFile(path, "utf8")}`;
  } catch {
    return "";
  }
}

function holderIsGone(seen: string): boolean {
  try {
    const { host, pid } = JSON.parse(seen.slice(seen.indexOf(" ") + 1)) as { host: string; pid: number };
    if (host !== hostname()) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
