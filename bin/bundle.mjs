// The program with the libraries that it is made of, in a few files instead of a thousand: loading modules one by one is most of
// what a command that computes nothing does.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { pathToFileURL } from "node:url";

/** Beside the command line, what threads and processes start with; they are told apart by their names. */
const ENTRIES = /(^main|(^|-)(service|entry)|^host)\.ts$/;
/** What brings native code, or models of its own. */
const NATIVE = ["onnxruntime-node", "sharp", "@xenova/transformers"];

/**
 * Bundles the sources of `root`.
 *
 * @param out  where it is written
 * @param home where it will lie, which modules that look for files beside them are told
 * @param more files of `src` that are wanted beside the program
 */
export async function bundle(root, out, home, more = []) {
  const { build } = await import("esbuild");
  const { peerDependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const sources = join(root, "src");
  const entryPoints = readdirSync(sources, { recursive: true })
    .filter((path) => ENTRIES.test(path.split(sep).at(-1)) || more.includes(path))
    .map((path) => join(sources, path));
  await build({
    absWorkingDir: root,
    entryPoints,
    outdir: out,
    outbase: root,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    external: [...NATIVE, ...Object.keys(peerDependencies)],
    // Libraries in CommonJS ask for Node's own modules.
    banner: {
      js: 'import { createRequire as _require } from "node:module"; const require = _require(import.meta.url);',
    },
    chunkNames: "chunks/[hash]",
    plugins: [{ name: "places", setup: (setup) => setup.onLoad({ filter: /\.ts$/ }, place(root, home)) }],
    logLevel: "silent",
  });
  // Otherwise Node reads every file twice to find out. Not beside the entries: whoever looks for this package passes there.
  mkdirSync(join(out, "chunks"), { recursive: true });
  writeFileSync(join(out, "chunks", "package.json"), '{ "type": "module" }\n');
}

/**
 * To a module, `import.meta.url` stays the file that it would be if it were compiled alone. And of zod it imports all names
 * instead of the object that holds them, which would bring messages in fifty languages along.
 */
function place(root, home) {
  return ({ path }) => {
    const own = join(home, relative(root, path)).replace(/\.ts$/, ".js");
    const contents = readFileSync(path, "utf8")
      .replaceAll("import.meta.url", JSON.stringify(pathToFileURL(own).href))
      .replace('import { z } from "zod"', 'import * as z from "zod"');
    return { contents, loader: "ts", resolveDir: dirname(path) };
  };
}
