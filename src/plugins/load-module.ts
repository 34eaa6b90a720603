import { readFile, realpath } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { TtsVarError } from "../core/errors.ts";
import { identify, type ModuleIdentity } from "./module-identity.ts";

/** Where a plug-in came from; goes to the run folder so that a result can be traced to the code behind it. */
export interface PluginProvenance {
  readonly kind: "builtin" | "file" | "package" | "http";
  readonly spec: string;
  /** Real path of the module; absent for names and servers. */
  readonly path?: string;
  /** SHA-256 of the module's own file. */
  readonly sha256?: string;
  /** SHA-256 of the local files that it imports, by their paths from its folder. */
  readonly imports?: Readonly<Record<string, string>>;
  /** Version of file and imports together. */
  readonly identity?: string;
}

export interface LoadedPlugin<T> {
  readonly value: T;
  readonly provenance: PluginProvenance;
}

export interface LoadedModule {
  /** The default export. */
  readonly value: unknown;
  /** The file's name without its extension: default name of the plug-in. */
  readonly name: string;
  readonly provenance: PluginProvenance & ModuleIdentity & { readonly path: string };
}

/** Milliseconds that a module may take to load. */
export const moduleTimeoutMs = 30_000;
const javascript = new Set([".mjs", ".js", ".cjs"]);
const typescript = new Set([".ts", ".mts", ".cts"]);

/** How a plug-in spec is to be read: a registry name, a module file, `npm:package`, or a server's address. */
export function specKind(spec: string): "name" | "file" | "package" | "http" {
  if (/^https?:\/\//.test(spec)) return "http";
  if (spec.startsWith("npm:")) return "package";
  if (/^(\.|\/|file:|[A-Za-z]:[\\/])/.test(spec)) return "file";
  return javascript.has(extname(spec)) || typescript.has(extname(spec)) ? "file" : "name";
}

/**
 * Imports the module behind a file or `npm:` spec and returns its default export. One mechanism for all plug-ins.
 *
 * @param kind    what the user called it ("reward", "strategy", "features"), for messages
 * @param baseDir folder against which relative paths and package names are resolved
 * @throws PLUGIN_INVALID: missing file, wrong extension, syntax error, error or hang while loading, no default export
 */
export async function loadModule(kind: string, spec: string, baseDir: string): Promise<LoadedModule> {
  const fail = (problem: string, cause?: unknown): TtsVarError =>
    new TtsVarError("PLUGIN_INVALID", `${kind} plug-in ${spec}: ${problem}`, {
      cause,
      details: { kind, spec },
    });

  const wanted =
    specKind(spec) === "package"
      ? await resolvePackage(spec.slice("npm:".length), baseDir, fail)
      : resolve(baseDir, spec.startsWith("file:") ? fileURLToPath(spec) : spec);
  const path = await realpath(wanted).catch((error: unknown) => {
    throw fail(`no such file (looked for ${wanted}); relative paths start at ${baseDir}`, error);
  });
  const extension = extname(path);
  if (!javascript.has(extension) && !typescript.has(extension)) {
    throw fail(`a module ends in .mjs, .js, .cjs or .ts, this one in "${extension || basename(path)}"`);
  }
  const made = await identify(path).catch((error: unknown) => Promise.reject(fail("cannot be read", error)));
  const href = addressOf(path, made, fail);
  const imported = await withTimeout(
    typescript.has(extension) ? importTypeScript(path, fail) : import(href),
    () =>
      fail(`did not finish loading within ${moduleTimeoutMs / 1000} s; remove what its top level waits for`),
  ).catch((error: unknown) => {
    throw error instanceof TtsVarError ? error : fail(loadProblem(error, path), error);
  });
  const value = defaultExport(imported as Record<string, unknown>);
  if (value === undefined || value === null) {
    const named = Object.keys(imported as object).filter((key) => key !== "default");
    const hint = named.length > 0 ? ` (it exports ${named.join(", ")})` : "";
    throw fail(`has no default export${hint}; write "export default ..."`);
  }
  return {
    value,
    name: basename(path).replace(/\.[^.]+$/, ""),
    provenance: { kind: specKind(spec) === "package" ? "package" : "file", spec, path, ...made },
  };
}

/** What each module was made of when this process loaded it. */
const known = new Map<string, ModuleIdentity>();

/**
 * Address to import a module from. Node keeps what it has loaded, so after an edit the module gets another address; what
 * it imports, and TypeScript, would still be the old.
 *
 * @throws PLUGIN_INVALID where only a new process can load what the files now say
 */
function addressOf(path: string, made: ModuleIdentity, fail: (problem: string) => Error): string {
  const { href } = pathToFileURL(path);
  const first = known.get(path) ?? made;
  known.set(path, first);
  if (first.identity === made.identity) return href;
  const sameImports = JSON.stringify(first.imports) === JSON.stringify(made.imports);
  if (sameImports && !typescript.has(extname(path))) return `${href}?${made.identity}`;
  throw fail("it or what it imports was edited after this process had loaded it; start the program again");
}

/** CommonJS compiled from ES modules arrives as `{ default: { default: ... } }`. */
function defaultExport(imported: Record<string, unknown>): unknown {
  const value = imported["default"];
  const nested = value as { __esModule?: boolean; default?: unknown } | null | undefined;
  return nested?.__esModule ? nested.default : value;
}

/** Node keeps the place of a syntax error to itself, but `node --check` prints it. */
function loadProblem(error: unknown, path: string): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof SyntaxError)) return `failed while loading: ${message}`;
  const place = typescript.has(extname(path)) ? "" : `; node --check ${path} shows where`;
  return `syntax error: ${message}${place}`;
}

async function withTimeout<T>(work: Promise<T>, onTimeout: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onTimeout()), moduleTimeoutMs);
  });
  return Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

/**
 * Imports a TypeScript module: natively where the running Node can, else through the optional package jiti. Types are
 * stripped, not checked. What the module imports in turn is loaded natively where that works, so that it shares this
 * process's own modules.
 */
async function importTypeScript(
  path: string,
  fail: (problem: string, cause?: unknown) => Error,
): Promise<unknown> {
  const { href } = pathToFileURL(path);
  if ((process.features as { typescript?: unknown }).typescript) return import(href);
  const { createJiti } = await import("jiti").catch((cause: unknown) => {
    throw fail("TypeScript on this Node needs jiti: npm install jiti (or write the plug-in as .mjs)", cause);
  });
  return createJiti(href, { fsCache: false, tryNative: true }).import(path);
}

/**
 * File behind an installed package's name (`pkg`, `@scope/pkg`, `pkg/sub`), looked up from `baseDir` upward as Node
 * does. Node 20 has no public resolver for ES modules with another starting point, hence the second step, which reads
 * the package's own `exports`.
 */
async function resolvePackage(
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
