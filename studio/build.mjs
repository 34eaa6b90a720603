// Bundles the studio's page. As a program (`npm run build`) it writes dist/studio; the studio itself, run from a clone,
// takes the files from memory.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

/** The files of the page by name. */
export async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: here,
    entryPoints: { studio: "main.tsx" },
    outdir: join(here, "../dist/studio"),
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "silent",
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [path.split(/[/\\]/).at(-1), contents]));
  return files.set("index.html", await readFile(join(here, "index.html")));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = join(here, "../dist/studio");
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of await bundle()) await writeFile(join(folder, name), bytes);
}
