import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { program } from "./program.ts";

export interface Started {
  readonly child: ChildProcess;
  /** Exit code as a shell reports it (128 and the signal's number if a signal ended it), and what it wrote. */
  readonly ended: Promise<{ code: number; stdout: string; stderr: string }>;
}

/** Starts a command line in a folder. */
export function start(cwd: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(process.execPath, [program, ...argv], {
    cwd,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += text));
  child.stderr.on("data", (text) => (stderr += text));
  const ended = new Promise<{ code: number; stdout: string; stderr: string }>((done) => {
    child.on("close", (code, signal) => {
      done({ code: code ?? 128 + constants.signals[signal!], stdout, stderr });
    });
  });
  return { child, ended };
}

/** Runs a command of the shell, in which `tv` is the program. */
export function shell(
  cwd: string,
  script: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const env = { ...process.env, NO_COLOR: "1", NODE: process.execPath, BIN: program };
  const child = spawn("bash", ["-c", `tv() { "$NODE" "$BIN" "$@"; }; ${script}`], { cwd, env });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += text));
  child.stderr.on("data", (text) => (stderr += text));
  return new Promise((done) => child.on("close", (code) => done({ code, stdout, stderr })));
}

/** Waits until a condition holds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((next) => setTimeout(next, 20));
}

/** Whether a run's trace holds an event of that type. */
export async function traced(dir: string, type: string): Promise<boolean> {
  const path = join(dir, "trace.jsonl");
  return existsSync(path) && (await readFile(path, "utf8")).includes(`"type":"${type}"`);
}
