import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { isMainThread, Worker, type WorkerOptions } from "node:worker_threads";
import { silenceRuntime } from "./quiet-runtime.ts";

/**
 * URL of a module beside the caller's: TypeScript next to TypeScript, JavaScript next to JavaScript.
 *
 * @param from the caller's `import.meta.url`
 * @param name file name without extension, relative
 */
export function siblingModule(from: string, name: string): URL {
  if (!from.endsWith(".ts")) return new URL(`${name}.js`, from);
  const source = new URL(`${name}.ts`, from);
  return compiledOf(source) ?? source;
}

/** Root of the sources. */
const ROOT = new URL("../../", import.meta.url);

/**
 * The compiled form of a module of this package, where whoever runs the sources has compiled them and says so in
 * `TTS_VAR_COMPILED` (the tests do): threads then need not compile all that they import.
 */
function compiledOf(source: URL): URL | null {
  const folder = process.env["TTS_VAR_COMPILED"];
  if (!folder || !source.href.startsWith(ROOT.href)) return null;
  const path = source.href.slice(ROOT.href.length).replace(/\.ts$/, ".js");
  const compiled = new URL(path, pathToFileURL(`${folder}/`));
  return existsSync(compiled) ? compiled : null;
}

/** Starts a module of this package as a thread, compiled or from source. */
export function startThread(entry: URL, options: WorkerOptions): Worker {
  // The thread may load the runtime, and could not silence it any more.
  if (isMainThread) silenceRuntime();
  const own = { ...options, execArgv: [] };
  return entry.pathname.endsWith(".js")
    ? new Worker(entry, own)
    : new Worker(typescriptEntry(entry), { ...own, eval: true });
}

/** Node 20 cannot load TypeScript by itself; from source, a thread registers the loader that the tools use. */
function typescriptEntry(entry: URL): string {
  // require finds the CommonJS build, whose register() fails inside a thread; the ES build lies beside it.
  const loader = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/\.cjs$/, ".mjs");
  return `import(${JSON.stringify(pathToFileURL(loader).href)}).then(({ register }) => {
    register();
    return import(${JSON.stringify(entry.href)});
  })`;
}
