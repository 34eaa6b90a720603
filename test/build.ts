import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Where the program lies that tests start as processes of their own, and threads. */
export const BUILT = resolve("node_modules/.cache/tts-var-tests");

type Bundle = (root: string, out: string, home: string, more: readonly string[]) => Promise<void>;

/**
 * Bundles the program, as a clone runs it, and the library once for all tests: from sources, every process would spend a
 * second on compiling. `test/e2e/package.test.ts` runs what the package will hold.
 */
export default async function build(): Promise<void> {
  await rm(BUILT, { recursive: true, force: true });
  const { bundle } = (await import(pathToFileURL(resolve("bin/bundle.mjs")).href)) as { bundle: Bundle };
  await bundle(resolve("."), BUILT, BUILT, ["index.ts"]);
}
