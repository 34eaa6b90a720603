import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join, relative, resolve } from "node:path";
import { program } from "./program.ts";

/** A search without weights: the toy generator and a reward in a file. */
export const toySearch: readonly string[] = [
  ...["--model", "toy", "--reward", resolve("test/fixtures/brightness.mjs")],
  ...["--strategy", "best-of-n", "--budget", "4", "--seed", "5"],
];

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = { ...process.env, NO_COLOR: "1", CI: "1" };

/** Runs a command line to its end; `node` are options of node itself. */
export function runCli(
  argv: readonly string[],
  env: NodeJS.ProcessEnv = {},
  node: readonly string[] = [],
): Promise<Outcome> {
  return new Promise((done) => {
    const options = { env: { ...environment, ...env }, maxBuffer: 2 ** 26 };
    const child = execFile(
      process.execPath,
      [...node, program, ...argv],
      options,
      (_error, stdout, stderr) => {
        done({ code: child.exitCode, stdout, stderr });
      },
    );
  });
}

/** A program that may be killed. */
export interface Running {
  readonly child: ChildProcess;
  /** Exit code; null when killed. */
  readonly ended: Promise<number | null>;
  stderr(): string;
}

export function startCli(argv: readonly string[]): Running {
  return watch(
    spawn(process.execPath, [program, ...argv], { env: environment, stdio: ["ignore", "ignore", "pipe"] }),
  );
}

export function watch(child: ChildProcess): Running {
  let text = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  const ended = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
  return { child, ended, stderr: () => text };
}

export async function kill(running: Running, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  running.child.kill(signal);
  await running.ended;
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Process ids of the children of a process. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Hashes of all files by path; durations, which may differ, are left out. */
export async function folderHashes(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hashes: Record<string, string> = {};
  for (const path of paths.sort()) {
    const name = relative(dir, path);
    if (name === "timing.jsonl") continue;
    hashes[name] = createHash("sha256")
      .update(await readFile(path))
      .digest("hex")
      .slice(0, 16);
  }
  return hashes;
}

/** Searches finished so far: records on disk. */
export async function countRecords(dir: string): Promise<number> {
  const entries = await readdir(dir, { recursive: true }).catch(() => []);
  return entries.filter((name) => /records\/\d+\.json$/.test(name)).length;
}

/** What a program is, how it ended and what it said: for a test that failed. */
export function describeProgram({ child, stderr }: Running): string {
  const end = child.exitCode ?? child.signalCode ?? "still running";
  return `--- ${child.spawnargs.join(" ")}\n${stderr()}--- ${end}\n`;
}

/** Waits until `count` searches are finished or the program has ended. */
export async function untilRecords(dir: string, count: number, running: Running): Promise<void> {
  while (running.child.exitCode === null && running.child.signalCode === null) {
    if ((await countRecords(dir)) >= count) return;
    await new Promise((next) => setTimeout(next, 20));
  }
}
