import { readFile } from "node:fs/promises";
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { TtsVarError } from "../core/errors.ts";
import { type ConfigTree, isTree } from "./paths.ts";

/** Values that aliases may stand for; more is a mistake, or meant to fill the memory. */
const MOST_ALIASES = 100;

/** A configuration file: its values, and the line of each path. */
export interface ConfigFile {
  readonly path: string;
  readonly tree: ConfigTree;
  lineOf(path: string): number | undefined;
}

/**
 * Reads a YAML (or JSON) file of settings.
 *
 * @param what the file is, for messages; `hint` what to do when it is not there
 * @throws TtsVarError CONFIG_NOT_FOUND, CONFIG_INVALID with line and column
 */
export async function readYamlFile(path: string, what: string, hint: string): Promise<ConfigFile> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError(
      "CONFIG_NOT_FOUND",
      `cannot read the ${what} ${path} (${error.code ?? error.message}); ${hint}`,
      { details: { path }, cause: error },
    );
  });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const issues = document.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return `${path}:${line}:${col}: ${error.message}`;
    });
    throw new TtsVarError("CONFIG_INVALID", issues.join("\n"), { details: { issues } });
  }
  const tree = valuesOf(() => document.toJS({ maxAliasCount: MOST_ALIASES }) as unknown, path) ?? {};
  if (!isTree(tree)) {
    throw new TtsVarError("CONFIG_INVALID", `${path}:1: must hold "key: value" lines, not ${typeName(tree)}`);
  }
  return { path, tree, lineOf: (at) => lineOf(document.contents, at.split("."), lines) };
}

/** Aliases are looked up here only: unknown ones, and too many. */
function valuesOf(read: () => unknown, path: string): unknown {
  try {
    return read();
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `${path}: ${(cause as Error).message}; write the values out`, {
      cause,
    });
  }
}

/** Line of the deepest key on the path that the file has. */
function lineOf(contents: unknown, keys: readonly string[], lines: LineCounter): number | undefined {
  let node = contents;
  let line: number | undefined;
  for (const key of keys) {
    if (isSeq(node)) {
      node = node.items[Number(key)];
      const range = (node as { range?: readonly number[] | null } | undefined)?.range;
      if (range) line = lines.linePos(range[0]!).line;
      continue;
    }
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
