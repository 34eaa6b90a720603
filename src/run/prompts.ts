import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import * as z from "zod";
import type { PlannedSearch } from "../assemble/open-search.ts";
import { configHash, type ResolvedConfig } from "../config/resolve.ts";
import { promptSchema, type SearchConfig, type SearchRecipe } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import { withoutMark } from "../io/jsonl.ts";
import { promptName } from "./run-name.ts";

/** One of many prompts, with what differs from the configured task: seed, negative prompt, label, metadata. */
export type PromptItem = z.input<typeof promptSchema>;

/** Prompts from anywhere: one, a list, or whatever comes as time goes by. */
export type PromptSource =
  | string
  | PromptItem
  | Iterable<string | PromptItem>
  | AsyncIterable<string | PromptItem>;

/**
 * Prompts one by one, checked.
 *
 * @throws TtsVarError CONFIG_INVALID naming the place in the source
 */
export async function* itemsOf(source: PromptSource): AsyncGenerator<PromptItem> {
  let index = 0;
  for await (const item of isOne(source) ? [source] : source) yield itemOf(item, `prompt ${index++}`);
}

function isOne(source: PromptSource): source is string | PromptItem {
  return typeof source === "string" || "prompt" in source;
}

function itemOf(value: unknown, where: string): PromptItem {
  const parsed = promptSchema.safeParse(typeof value === "string" ? { prompt: value } : value);
  if (parsed.success) return parsed.data;
  throw new TtsVarError("CONFIG_INVALID", `${where}:\n${z.prettifyError(parsed.error)}`);
}

/**
 * Reads prompts from a file, or from stdin (`-`): a prompt a line, or a JSON object a line (`{"prompt": ..., "seed": ...}`).
 * Empty lines are left out.
 *
 * @throws TtsVarError CONFIG_NOT_FOUND; CONFIG_INVALID naming file and line, also for a file without any prompt
 */
export async function readPrompts(path: string): Promise<PromptItem[]> {
  const name = path === "-" ? "stdin" : path;
  const content = await (path === "-" ? readAll(process.stdin) : readFile(path, "utf8")).catch(
    (cause: NodeJS.ErrnoException) => {
      throw new TtsVarError("CONFIG_NOT_FOUND", `cannot read the prompts ${name} (${cause.code})`, { cause });
    },
  );
  const lines = withoutMark(content)
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.trim(), where: `${name}:${index + 1}` }))
    .filter(({ line }) => line !== "");
  const json = /\.(jsonl|ndjson)$/i.test(path) || lines[0]?.line.startsWith("{");
  const items = lines.map(({ line, where }) => itemOf(json ? parseLine(line, where) : line, where));
  if (items.length > 0) return items;
  throw new TtsVarError("CONFIG_INVALID", `${name} has no prompt; write one a line`);
}

function parseLine(line: string, where: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new TtsVarError("CONFIG_INVALID", `${where}: no JSON object, such as {"prompt": "two dogs"}`, {
      cause,
    });
  }
}

/** A search of one of many prompts: its configuration, and the plan that all share. */
export interface PlannedPrompt {
  readonly planned: PlannedSearch;
  readonly resolved: ResolvedConfig;
}

/**
 * The search of one prompt under a plan for many.
 *
 * @param within folder of all run folders, if there are any
 * @throws TtsVarError CONFIG_INVALID for a task that the model cannot do
 */
export function planPrompt(
  planned: PlannedSearch,
  { origins }: Pick<ResolvedConfig<SearchRecipe>, "origins">,
  item: PromptItem,
  within?: string,
): PlannedPrompt {
  const { generator } = planned;
  if (item.negativePrompt !== undefined && !generator.can.includes("negative-prompt")) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `${generator.name} cannot be led away from a text (negativePrompt); leave it out, or choose another model`,
    );
  }
  const given = Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined));
  const config = {
    ...planned.config,
    task: { ...planned.config.task, ...given },
  } as SearchConfig;
  const hash = configHash(config);
  const placed =
    within === undefined ? config : { ...config, out: join(within, promptName(item.prompt, hash)) };
  const from = Object.fromEntries(Object.keys(given).map((key) => [`task.${key}`, "prompts"]));
  return {
    planned: { ...planned, config: placed, task: { ...planned.task, ...given } },
    resolved: { config: placed, origins: { ...origins, ...from }, hash },
  };
}
