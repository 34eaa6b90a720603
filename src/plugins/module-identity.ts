import { createHash } from "node:crypto";
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, extname, relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** What a module is made of. */
export interface ModuleIdentity {
  /** SHA-256 of the module's own file. */
  readonly sha256: string;
  /** SHA-256 of each further local file that it stands on, by its path from the module's folder. */
  readonly imports: Readonly<Record<string, string>>;
  /** One short name for all of it: equal names mean equal code. Installed packages and Node itself are left out. */
  readonly identity: string;
}

const code = new Set([".mjs", ".js", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx"]);
/** What a specifier may leave out. */
const endings = ["", ".js", ".json", ".cjs", ".mjs", ".ts", ".mts", ".cts"].flatMap((end) => [
  end,
  `/index${end}`,
]);

const quoted = String.raw`(?:/\*[^]*?\*/\s*)?(["'\x60])((?:\.{1,2}(?:/|(?=["'\x60]))|/|file:)[^"'\x60\n]*)\1`;
const named = [
  // import "x", import("x"), ... from "x", require("x"), import.meta.resolve("x")
  new RegExp(String.raw`\b(?:from|import|require|resolve)\s*\(?\s*${quoted}`, "g"),
  // Data that lies beside the code: new URL("x", import.meta.url)
  new RegExp(String.raw`\bnew\s+URL\s*\(\s*${quoted}\s*,\s*import\.meta\.url`, "g"),
];

/**
 * Hashes a module with all local files that it imports, and what those import in turn. Imports are found in the text,
 * not by running it; one in a comment is taken for real, which can only make the identity too strict.
 */
export async function identify(path: string): Promise<ModuleIdentity> {
  const hashes = new Map<string, string>();
  const open = [path];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (hashes.has(file)) continue;
    const bytes = await readFile(file);
    hashes.set(file, createHash("sha256").update(bytes).digest("hex"));
    if (code.has(extname(file))) open.push(...(await localFiles(bytes.toString("utf8"), file)));
  }
  const sha256 = hashes.get(path)!;
  hashes.delete(path);
  const imports = Object.fromEntries(
    [...hashes]
      .map(([file, hash]): [string, string] => [relative(dirname(path), file).split(sep).join("/"), hash])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  // A module that stands alone is known by its own hash.
  const whole =
    hashes.size === 0
      ? sha256
      : createHash("sha256")
          .update(JSON.stringify([sha256, imports]))
          .digest("hex");
  return { sha256, imports, identity: whole.slice(0, 16) };
}

async function localFiles(text: string, importer: string): Promise<string[]> {
  const found: string[] = [];
  for (const pattern of named) {
    for (const [, , specifier] of text.matchAll(pattern)) {
      const file = await resolveLocal(specifier!, importer);
      if (file !== null) found.push(file);
    }
  }
  return found;
}

/** The file behind a local specifier, or null; Node and TypeScript let it leave out or disguise its ending. */
async function resolveLocal(specifier: string, importer: string): Promise<string | null> {
  let target: string;
  try {
    const url = new URL(specifier.replace(/[?#].*$/, ""), pathToFileURL(importer));
    target = fileURLToPath(url).replace(/[\\/]$/, "");
  } catch {
    return null;
  }
  for (const candidate of [...endings.map((end) => target + end), target.replace(/js$/, "ts")]) {
    const found = await stat(candidate).catch(() => null);
    if (found?.isFile()) return realpath(candidate);
  }
  return null;
}
