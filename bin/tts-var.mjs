#!/usr/bin/env node
// In a clone the TypeScript sources run directly; an installed package carries the compiled ones.
import { existsSync } from "node:fs";

const source = new URL("../src/cli/main.ts", import.meta.url);
const compiled = new URL("../dist/src/cli/main.js", import.meta.url);

async function useSources() {
  if (!existsSync(source)) return false;
  try {
    const { register } = await import("tsx/esm/api");
    register();
    return true;
  } catch (error) {
    // A clone that was installed without its development dependencies can still run what was built.
    if (error?.code === "ERR_MODULE_NOT_FOUND" && existsSync(compiled)) return false;
    throw error;
  }
}

await import(((await useSources()) ? source : compiled).href);
