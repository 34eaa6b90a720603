import { TtsVarError } from "../core/errors.ts";
import { shellLine } from "./command-line.ts";
import { type ConfigTree, isTree } from "./paths.ts";
import type { ConfigSources } from "./resolve.ts";
import { FILE_SETTINGS, NO_CALIBRATION, OUTPUT_SETTINGS } from "./schema.ts";

/** Places that hold text for models, whatever it looks like. */
const WORDS = ["task.prompt", "task.promptAt", "task.negativePrompt", "task.metadata"];
/** What leads out of this program: paths, addresses, packages, files of code. Built-in names are words with dashes. */
const LEADS_OUT = /[/\\:~]|^\.|\.[cm]?[jt]s$/;

/**
 * Takes the configuration of a picture's recipe as the weakest source. Pictures come from anywhere, so what would run code,
 * read files or call servers has to be given by the user as well.
 *
 * @param recipe the configuration as the picture tells it
 * @param sources what the user gave
 * @throws TtsVarError USAGE naming all that the recipe wants from outside
 */
export function withRecipe(path: string, recipe: ConfigTree, sources: ConfigSources): ConfigSources {
  const tree = Object.fromEntries(
    Object.entries(recipe).filter(([key]) => !(OUTPUT_SETTINGS as readonly string[]).includes(key)),
  );
  const given = new Set([
    ...(sources.flags ?? []).map((flag) => flag.path),
    ...(sources.sets ?? []).map((set) => set.slice(0, set.indexOf("=")).trim()),
  ]);
  const wanted = Object.entries(tree).flatMap(([section, value]) =>
    Object.entries(isTree(value) ? value : { "": value })
      .map(([key, part]) => ({ path: key === "" ? section : `${section}.${key}`, value: part }))
      .filter(({ path: at, value: part }) => !given.has(at) && isOutside(at, part)),
  );
  if (wanted.length > 0) {
    const words = wanted.flatMap((setting) => ["--set", `${setting.path}=${JSON.stringify(setting.value)}`]);
    throw new TtsVarError(
      "USAGE",
      `the recipe in ${path} reads files, runs code or calls a server; if you trust it, say so with: ${shellLine(words)}`,
      { details: { wanted } },
    );
  }
  return { ...sources, file: { path, tree, lineOf: () => undefined } };
}

function isOutside(path: string, value: unknown): boolean {
  if (WORDS.includes(path)) return false;
  return FILE_SETTINGS.includes(path) ? value !== NO_CALIBRATION : leadsOut(value);
}

function leadsOut(value: unknown): boolean {
  if (typeof value === "string") return LEADS_OUT.test(value);
  if (Array.isArray(value)) return value.some(leadsOut);
  return isTree(value) && Object.entries(value).some(([key, part]) => LEADS_OUT.test(key) || leadsOut(part));
}
