import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * File behind an installed package's name (`pkg`, `@scope/pkg`, `pkg/sub`), looked up from `baseDir` upward as Node
 * does. Node 20 has no public resolver for ES modules with another starting point, hence the second step, which reads
 * the package's own `exports`.
 */
export async function resolvePackage(
  name: string,
  baseDir: string,
  fail: (problem: string, cause?: unknown) => Error,
): Promise<string> {
  const [, packageName, subpath] = /^((?:@[^/]+\/)?[^/]+)(?:\/(.+))?$/.exec(name) ?? [];
  if (!packageName) throw fail(`"${name}" is no package name; write npm:package or npm:@scope/package/file`);
  try {
    return createRequire(join(baseDir, "x.js")).resolve(name);
  } catch (error) {
    const found = await fromManifest(packageName, subpath, baseDir);
    if (found) return found;
    throw fail(
      `package "${name}" is not installed in ${baseDir} or above: npm install ${packageName}`,
      error,
    );
  }
}

async function fromManifest(
  name: string,
  subpath: string | undefined,
  baseDir: string,
): Promise<string | undefined> {
  for (let folder = baseDir; ; folder = dirname(folder)) {
    const root = join(folder, "node_modules", name);
    const text = await readFile(join(root, "package.json"), "utf8").catch(() => undefined);
    if (text !== undefined) {
      const exports = (JSON.parse(text) as { exports?: unknown }).exports;
      const file = target(exports, subpath === undefined ? "." : `./${subpath}`);
      return file === undefined ? undefined : join(root, file);
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** The `import` target of one entry of a package's exports. */
function target(exports: unknown, entry: string): string | undefined {
  if (typeof exports === "string") return entry === "." ? exports : undefined;
  if (typeof exports !== "object" || exports === null) return undefined;
  const table = exports as Record<string, unknown>;
  const chosen = entry in table ? table[entry] : entry === "." && !("." in table) ? table : undefined;
  return condition(chosen);
}

function condition(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  const table = value as Record<string, unknown>;
  return condition(table["node"]) ?? condition(table["import"]) ?? condition(table["default"]);
}
