#!/usr/bin/env node
// An installed package carries the compiled program. In a clone the sources count: they are compiled once for each state that
// they are in, so what runs is never older than what is there.
import { existsSync, readFileSync } from "node:fs";

const source = new URL("../src/cli/main.ts", import.meta.url);
const packed = new URL("../dist/src/cli/main.js", import.meta.url);

async function program() {
  if (!existsSync(source)) return packed;
  const { compiledClone, sourcesDirectly } = await import("./clone.mjs");
  return (await compiledClone()) ?? ((await sourcesDirectly()) ? source : packed);
}

if (process.argv.length === 3 && ["-V", "--version"].includes(process.argv[2])) {
  // Which version this is stands in one file; the program need not be there.
  process.stdout.on("error", () => undefined);
  console.log(JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version);
} else {
  await import((await program()).href);
}
