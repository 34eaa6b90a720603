#!/usr/bin/env node
// In a clone the TypeScript sources run directly; an installed package carries the compiled ones.
import { existsSync, mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const source = new URL("../src/cli/main.ts", import.meta.url);
const compiled = new URL("../dist/src/cli/main.js", import.meta.url);

async function useSources() {
  if (!existsSync(source)) return false;
  try {
    expectTemporaryFolder();
    const { register } = await import("tsx/esm/api");
    register();
    return true;
  } catch (error) {
    // A clone without its development dependencies or a temporary folder can still run what was built.
    if (existsSync(compiled)) return false;
    if (error?.code === "ERR_MODULE_NOT_FOUND") throw error;
    const what = `the temporary folder ${tmpdir()} cannot be written (${error?.code ?? error})`;
    console.error(
      `error: ${what}, which running from sources needs; set TMPDIR, or run \`npm run build\` once`,
    );
    process.exit(2);
  }
}

/** The loader of TypeScript keeps what it has compiled there, and breaks down where it cannot. */
function expectTemporaryFolder() {
  rmdirSync(mkdtempSync(join(tmpdir(), "tts-var-")));
}

await import(((await useSources()) ? source : compiled).href);
