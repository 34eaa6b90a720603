import { execFile } from "node:child_process";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { promisify } from "node:util";

/** Where the program lies that tests start as processes of their own. */
export const BUILT = resolve("node_modules/.cache/tts-var");

/**
 * Compiles the program once for all tests: from sources, every process of it would spend a second on compiling. Types are
 * checked elsewhere (`npm run check`).
 */
export default async function build(): Promise<void> {
  await rm(BUILT, { recursive: true, force: true });
  const tsc = resolve("node_modules/typescript/bin/tsc");
  const flags = ["--noCheck", "--declaration", "false", "--sourceMap", "false", "--outDir", BUILT];
  await promisify(execFile)(process.execPath, [tsc, "-p", "tsconfig.build.json", ...flags]);
}
