import { isDeepStrictEqual } from "node:util";
import { type ConfigTree, getPath, isTree } from "./paths.ts";
import { OUTPUT_SETTINGS, type SearchRecipe, searchSchema } from "./schema.ts";

/** Settings that have a flag under which people know them; all others are written with `--set`. */
const FLAGS: Readonly<Record<string, string>> = {
  "task.prompt": "--prompt",
  budget: "--budget",
  "strategy.name": "--strategy",
  "reward.name": "--reward",
  "model.name": "--model",
  "task.seed": "--seed",
};

/**
 * The arguments of `tts-var` that repeat a search, shortest form: what is not the default, and what everybody asks for.
 * Output settings are left out, since they change nothing.
 */
export function searchArguments(config: SearchRecipe): string[] {
  const defaults = searchSchema.parse({ task: { prompt: "any" } }) as unknown as ConfigTree;
  const given = settings(config as unknown as ConfigTree).filter(
    ([path, value]) =>
      value !== undefined &&
      !(OUTPUT_SETTINGS as readonly string[]).includes(path) &&
      (path === "task.seed" || !isDeepStrictEqual(value, getPath(defaults, path))),
  );
  const known = Object.keys(FLAGS);
  const rank = (path: string): number => (known.includes(path) ? known.indexOf(path) : known.length);
  given.sort(([a], [b]) => rank(a) - rank(b));
  return ["search", ...given.flatMap(([path, value]) => argumentsOf(path, value))];
}

/** Sections by their settings; what is in them is a value, whatever its keys. */
function settings(config: ConfigTree): [path: string, value: unknown][] {
  return Object.entries(config).flatMap(([section, value]): [string, unknown][] =>
    isTree(value)
      ? Object.entries(value).map(([key, part]) => [`${section}.${key}`, part])
      : [[section, value]],
  );
}

function argumentsOf(path: string, value: unknown): string[] {
  const flag = FLAGS[path];
  if (flag !== undefined && isPlain(value)) return [flag, String(value)];
  return ["--set", `${path}=${JSON.stringify(value).replace(/\p{C}/gu, escaped)}`];
}

/** Whether a value can be typed as it is: nothing invisible, and no flag in disguise. */
function isPlain(value: unknown): boolean {
  return typeof value !== "string" || /^(?!-)\P{C}+$/u.test(value);
}

/** Code units as JSON and YAML escape them. */
function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}

/** Words as a line for a POSIX shell. */
export function shellLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
