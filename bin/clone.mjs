// How a clone runs: compiled under node_modules/.cache, or straight from its sources where that cannot be written.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, "node_modules", ".cache", "tts-var-cli");
const packed = new URL("../dist/src/cli/main.js", import.meta.url);
/** Everything that the compiled program is made of. */
const inputs = ["bin", "src", "rewards", "search", "package.json", "package-lock.json"];
/** States of the sources whose compiled form is kept. */
const KEPT = 3;

/** The compiled program of the sources as they are now, made where it is missing; null if it cannot be made. */
export async function compiledClone() {
  const folder = join(cache, fingerprint());
  const entry = pathToFileURL(join(folder, "src", "cli", "main.js"));
  if (!existsSync(entry) && !(await compile(folder))) return null;
  return entry;
}

/** Changes with every file: names, sizes and times of the last change, which nobody can set back. */
function fingerprint() {
  let all = process.version;
  const add = (path) => {
    const { size, ctimeMs } = statSync(path);
    all += `${path}\n${size} ${ctimeMs}\n`;
  };
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(path);
      else if (/\.m?[jt]s$/.test(entry.name)) add(path);
    }
  };
  for (const input of inputs) (input.includes(".") ? add : visit)(`${root}${input}`);
  return createHash("sha256").update(all).digest("hex").slice(0, 16);
}

/** Into a folder beside the final one first: two programs may start at once. */
async function compile(folder) {
  const partial = `${folder}.${process.pid}`;
  try {
    const { bundle } = await import("./bundle.mjs");
    await bundle(root, partial, folder);
    if (!existsSync(folder)) renameSync(partial, folder);
    forgetOthers();
  } catch {
    return existsSync(folder);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return true;
}

function forgetOthers() {
  const age = (name) => statSync(join(cache, name)).mtimeMs;
  const finished = readdirSync(cache).filter((name) => !name.includes("."));
  for (const name of finished.sort((a, b) => age(b) - age(a)).slice(KEPT)) {
    rmSync(join(cache, name), { recursive: true, force: true });
  }
}

/** Makes Node load TypeScript; false if only what was built can run. */
export async function sourcesDirectly() {
  try {
    // The loader keeps what it has compiled there, and breaks down where it cannot.
    rmdirSync(mkdtempSync(join(tmpdir(), "tts-var-")));
    const { register } = await import("tsx/esm/api");
    register();
    return true;
  } catch (error) {
    // A clone without its development dependencies or a temporary folder can still run what was built.
    if (existsSync(packed)) return false;
    if (error?.code === "ERR_MODULE_NOT_FOUND") throw error;
    const what = `the temporary folder ${tmpdir()} cannot be written (${error?.code ?? error})`;
    console.error(
      `error: ${what}, which running from sources needs; set TMPDIR, or run \`npm run build\` once`,
    );
    process.exit(2);
  }
}
