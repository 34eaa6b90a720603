import { createHash } from "node:crypto";
import { parse as parseYaml } from "yaml";
import type { z } from "zod";
import { canonicalJson } from "../core/canonical-json.ts";
import { TtsVarError } from "../core/errors.ts";
import { nearest } from "../core/registry.ts";
import { expandNames } from "./load.ts";
import { type ConfigTree, deletePath, getPath, leaves, setPath } from "./paths.ts";
import type { ConfigFile } from "./read-yaml.ts";
import {
  NAMED_PLUGINS,
  OUTPUT_SETTINGS,
  recipeSchema,
  type SearchConfig,
  type SearchRecipe,
  searchSchema,
} from "./schema.ts";

/** What a configuration is made of, weakest first: defaults < file < flags < `--set`. */
export interface ConfigSources {
  readonly file?: ConfigFile;
  /** Flags that were really given: configuration path, value, and the flag as typed for error messages. */
  readonly flags?: readonly { readonly path: string; readonly value: unknown; readonly flag: string }[];
  /** `path=value` texts; the value is YAML. */
  readonly sets?: readonly string[];
}

export interface ResolvedConfig<Config extends SearchRecipe = SearchConfig> {
  readonly config: Config;
  /** Where each value came from, by path: "default", "file.yaml:3", "--seed" or "--set". */
  readonly origins: Readonly<Record<string, string>>;
  /** SHA-256 of the canonical configuration without output settings. */
  readonly hash: string;
}

/**
 * Merges and validates once.
 *
 * @throws TtsVarError CONFIG_INVALID listing every issue with its origin
 */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  return resolveWith(searchSchema, sources);
}

/** Like `resolveConfig`, for searches whose prompts come from elsewhere. */
export function resolveRecipe(sources: ConfigSources): ResolvedConfig<SearchRecipe> {
  return resolveWith(recipeSchema, sources);
}

function resolveWith<Config extends SearchRecipe>(
  schema: z.ZodType<Config>,
  sources: ConfigSources,
): ResolvedConfig<Config> {
  const tree: ConfigTree = {};
  const origins = new Map<string, string>();
  const put = (path: string, value: unknown, origin: string): void => {
    dropOptionsOfOtherPlugin(tree, origins, path, value);
    for (const known of [...origins.keys()]) if (known.startsWith(`${path}.`)) origins.delete(known);
    setPath(tree, path, value);
    origins.set(path, origin);
  };

  const { file, flags = [], sets = [] } = sources;
  if (file) {
    for (const [path, value] of leaves(file.tree)) {
      const line = file.lineOf(path);
      put(path, value, line === undefined ? file.path : `${file.path}:${line}`);
    }
  }
  for (const { path, value, flag } of flags) put(path, value, flag);
  for (const text of sets) {
    const { path, value } = parseSet(text);
    put(path, value, "--set");
  }
  expandNames(tree);

  const parsed = schema.safeParse(tree);
  if (!parsed.success) throw invalid(parsed.error.issues, tree, origins);
  const config = parsed.data;
  const all = leaves(config as unknown as ConfigTree).filter(([, value]) => value !== undefined);
  return {
    config,
    origins: Object.fromEntries(all.map(([path]) => [path, originOf(path, origins) ?? "default"])),
    hash: configHash(config),
  };
}

/** SHA-256 over the settings that can change a result. */
export function configHash(config: SearchRecipe): string {
  const relevant = Object.fromEntries(
    Object.entries(config).filter(([key]) => !(OUTPUT_SETTINGS as readonly string[]).includes(key)),
  );
  return createHash("sha256").update(canonicalJson(relevant)).digest("hex");
}

/** Options belong to the plug-in they were written for; naming another one leaves them behind. */
function dropOptionsOfOtherPlugin(
  tree: ConfigTree,
  origins: Map<string, string>,
  path: string,
  value: unknown,
): void {
  for (const key of NAMED_PLUGINS) {
    if (path !== `${key}.name` && path !== key) continue;
    const before = getPath(tree, `${key}.name`);
    if (before === undefined || before === value) continue;
    deletePath(tree, `${key}.options`);
    for (const known of [...origins.keys()]) if (known.startsWith(`${key}.options`)) origins.delete(known);
  }
}

function parseSet(text: string): { path: string; value: unknown } {
  const at = text.indexOf("=");
  const path = text.slice(0, at).trim();
  if (at < 1 || path.split(".").some((key) => key === "")) {
    throw new TtsVarError(
      "USAGE",
      `--set ${JSON.stringify(text)}: must look like path=value, such as model.options.topP=0.9`,
    );
  }
  try {
    return { path, value: parseYaml(text.slice(at + 1)) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TtsVarError("USAGE", `--set ${path}: the value is not readable as YAML (${reason})`, {
      cause: error,
    });
  }
}

function originOf(path: string, origins: ReadonlyMap<string, string>): string | undefined {
  for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const origin = origins.get(at);
    if (origin !== undefined) return origin;
  }
  return undefined;
}

function invalid(
  issues: readonly z.core.$ZodIssue[],
  tree: ConfigTree,
  origins: ReadonlyMap<string, string>,
): TtsVarError {
  const lines = issues.flatMap((issue) => {
    const path = issue.path.join(".");
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => {
        const at = path === "" ? key : `${path}.${key}`;
        return describe(at, unknownKey(key, path), origins.get(at) ?? firstBelow(at, origins));
      });
    }
    const value = getPath(tree, path);
    const given =
      value === undefined || issue.message.endsWith("received null")
        ? ""
        : `, not ${shorten(JSON.stringify(value))}`;
    const message = issue.message.replace(/^Invalid input: expected/, "must be");
    return [describe(path, `${message}${given}`, originOf(path, origins))];
  });
  const head =
    lines.length === 1 ? "invalid configuration" : `invalid configuration, ${lines.length} problems`;
  return new TtsVarError("CONFIG_INVALID", `${head}:\n${lines.map((line) => `  ${line}`).join("\n")}`, {
    details: { issues: lines },
  });
}

function describe(path: string, message: string, origin: string | undefined): string {
  return `${path}${origin === undefined ? "" : ` (${origin})`}: ${message}`;
}

function firstBelow(path: string, origins: ReadonlyMap<string, string>): string | undefined {
  for (const [known, origin] of origins) if (known.startsWith(`${path}.`)) return origin;
  return undefined;
}

/** Settings that have another place since version 0.2. */
const MOVED = new Map([
  ["prompt", "task.prompt"],
  ["seed", "task.seed"],
  ["negativePrompt", "task.negativePrompt"],
  ["metadata", "task.metadata"],
  ["sampling", "model.options (what is drawn), model.ratio, size and shape, and task.keep (tokens)"],
]);

function unknownKey(key: string, parent: string): string {
  const moved = parent === "" ? MOVED.get(key) : undefined;
  if (moved !== undefined) return `is now ${moved}`;
  const known = keysAt(parent);
  const close = nearest(key, known);
  const hint = close === undefined ? `known here: ${known.join(", ")}` : `did you mean "${close}"?`;
  return `unknown setting; ${hint}`;
}

/** Keys that the schema knows below a path. */
function keysAt(path: string): string[] {
  let node: unknown = searchSchema;
  for (const key of path === "" ? [] : path.split(".")) node = shapeOf(node)?.[key];
  return Object.keys(shapeOf(node) ?? {});
}

function shapeOf(node: unknown): Record<string, unknown> | undefined {
  const schema = node as { shape?: Record<string, unknown>; unwrap?: () => unknown } | undefined;
  return schema?.shape ?? (schema?.unwrap ? shapeOf(schema.unwrap()) : undefined);
}

function shorten(text: string | undefined): string {
  return text === undefined ? "nothing" : text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
