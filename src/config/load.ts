import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { isMap, isScalar, type LineCounter, type Node } from "yaml";
import { TtsVarError } from "../core/errors.ts";
import { type ConfigTree, getPath, isTree, setPath } from "./paths.ts";
import { readYaml } from "./read-yaml.ts";
import { FILE_SETTINGS, NAMED_PLUGINS, NO_CALIBRATION, PATH_SETTINGS } from "./schema.ts";

/** A configuration file: its values, and the line of each path. */
export interface ConfigFile {
  readonly path: string;
  readonly tree: ConfigTree;
  lineOf(path: string): number | undefined;
}

/**
 * Reads a YAML (or JSON) configuration. Relative paths in it are relative to the file and come out relative to the
 * working directory.
 *
 * @throws TtsVarError CONFIG_NOT_FOUND, CONFIG_INVALID with line and column
 */
export async function loadConfigFile(path: string): Promise<ConfigFile> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "CONFIG_NOT_FOUND",
      `cannot read the configuration ${path} (${error.code ?? error.message}); ` +
        "give the path of a YAML file, or see `tts-var list configs`",
      { details: { path }, cause: error },
    );
  });
  const { value, document, lines } = readYaml(text, path);
  const tree = value ?? {};
  if (!isTree(tree)) {
    throw new TtsVarError("CONFIG_INVALID", `${path}:1: must hold "key: value" lines, not ${typeName(tree)}`);
  }
  expandNames(tree);
  resolveFilePaths(tree, dirname(resolve(path)));
  return { path, tree, lineOf: (at) => lineOf(document.contents, at.split("."), lines) };
}

/** `strategy: tts-var` means `strategy: { name: tts-var }`. */
export function expandNames(tree: ConfigTree): void {
  for (const key of NAMED_PLUGINS) {
    if (typeof tree[key] === "string") tree[key] = { name: tree[key] };
  }
}

function resolveFilePaths(tree: ConfigTree, folder: string): void {
  for (const path of [...PATH_SETTINGS, ...FILE_SETTINGS]) {
    const value = getPath(tree, path);
    if (typeof value !== "string" || value === "" || isAbsolute(value)) continue;
    if (path === "calibration" && value === NO_CALIBRATION) continue;
    if (!FILE_SETTINGS.includes(path) && !/^\.\.?\//.test(value)) continue;
    const fromHere = relative(process.cwd(), resolve(folder, value)).split("\\").join("/");
    setPath(tree, path, fromHere.startsWith("..") ? fromHere : `./${fromHere}`);
  }
}

/** Line of the deepest key on the path that the file has. */
function lineOf(contents: Node | null, keys: readonly string[], lines: LineCounter): number | undefined {
  let node: unknown = contents;
  let line: number | undefined;
  for (const key of keys) {
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
    if (!pair || !isScalar(pair.key)) break;
    if (pair.key.range) line = lines.linePos(pair.key.range[0]).line;
    node = pair.value;
  }
  return line;
}

function typeName(value: unknown): string {
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}
