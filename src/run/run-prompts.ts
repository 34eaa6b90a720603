import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type OpenSearch, openSearch, type PlannedSearch } from "../assemble/open-search.ts";
import type { ResolvedConfig } from "../config/resolve.ts";
import type { SearchRecipe } from "../config/schema.ts";
import { probeWritable, writeFileAtomic } from "../io/atomic.ts";
import { openOutputFolder, parsedOrUndefined } from "../io/ownership.ts";
import { inOrder } from "./in-order.ts";
import type { Progress } from "./progress.ts";
import { type PlannedPrompt, type PromptItem, planPrompt } from "./prompts.ts";
import { type RunOptions, runOpened } from "./run-planned.ts";
import { readSummary, type SearchSummary } from "./summary.ts";
import { modelVersions } from "./versions.ts";

/** Lists the answers of a folder of runs, one a line, as `search --json` prints them. */
export const RESULTS_FILE = "results.jsonl";

export interface PromptsRun extends RunOptions {
  /** Folder of all run folders. */
  readonly out: string;
  /** Searches at a time. */
  readonly jobs: number;
}

/** One prompt's answer; `kept` if an earlier run of the same settings and models had it already. */
export interface PromptRow {
  readonly summary: SearchSummary;
  readonly kept: boolean;
}

/**
 * Searches for many prompts with models that are loaded once, each into a run folder of its own. What an earlier, interrupted
 * call finished is kept; equal prompts under equal settings are one run. `results.jsonl` lists what is done, also after a
 * failure.
 *
 * @throws TtsVarError OUTPUT_UNWRITABLE, and whatever a search throws
 */
export async function* runPrompts(
  planned: PlannedSearch,
  resolved: ResolvedConfig<SearchRecipe>,
  items: readonly PromptItem[],
  { out, jobs, ...options }: PromptsRun,
  signal: AbortSignal,
  progress: Progress,
): AsyncGenerator<PromptRow, void, undefined> {
  await probeWritable(out);
  const file = join(out, RESULTS_FILE);
  const output = { command: "search --prompts", force: options.force ?? false };
  const claim = openOutputFolder(out, output, () => {
    const isOurs = !existsSync(file) || isResults(readFileSync(file, "utf8"));
    return { isOurs, inTheWay: isOurs ? [] : [RESULTS_FILE], continued: [] };
  });
  const rows: SearchSummary[] = [];
  const opened = new LateModels(planned, progress);
  const runs = onePerFolder(items.map((item) => planPrompt(planned, resolved, item, resolve(out))));
  try {
    const answers = inOrder(each(runs), jobs, signal, async (run, _index, stop): Promise<PromptRow> => {
      const done = await finished(run);
      if (done) return { summary: done, kept: true };
      const models = await opened.get();
      const { summary } = await runOpened(models, run.planned, run.resolved, stop, progress, options);
      return { summary, kept: false };
    });
    for await (const row of answers) {
      rows.push(row.summary);
      yield row;
    }
  } finally {
    try {
      // Before the models are closed: an interrupted program does not wait long for them.
      if (rows.length > 0)
        await writeFileAtomic(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    } finally {
      claim.release();
      await opened.close();
    }
  }
}

function isResults(text: string): boolean {
  const first = parsedOrUndefined(text.split("\n", 1)[0]!) as Partial<SearchSummary> | undefined;
  return text === "" || (first?.schemaVersion === 1 && typeof first.runDir === "string");
}

function onePerFolder(runs: readonly PlannedPrompt[]): PlannedPrompt[] {
  return [...new Map(runs.map((run) => [run.resolved.config.out, run])).values()];
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** The answer of an earlier run, if it is done and nothing that decides it has changed. */
async function finished({ planned, resolved }: PlannedPrompt): Promise<SearchSummary | null> {
  const { generator, planInput, config, versions } = planned;
  const reward = { name: config.reward.name, version: planInput.rewards[config.reward.name]!.version };
  const known = await readSummary(resolved.config.out!);
  if (known?.record.status !== "done" || known.record.configHash !== resolved.hash) return null;
  const { models } = known.record;
  const { keep, diversity } = known.record.config;
  if (keep !== config.keep || (keep !== undefined && diversity !== config.diversity)) return null;
  const same = Object.entries(modelVersions(generator, reward, null, versions)).every(
    ([name, version]) => models[name] === version || name === reward.name,
  );
  return same && Object.values(models).includes(reward.version) ? known.summary : null;
}

/** Models that are loaded when the first search needs them: a run that only lists what is done needs none. */
class LateModels {
  readonly #planned: PlannedSearch;
  readonly #progress: Progress;
  #opening: Promise<OpenSearch> | undefined;

  constructor(planned: PlannedSearch, progress: Progress) {
    this.#planned = planned;
    this.#progress = progress;
  }

  get(): Promise<OpenSearch> {
    if (this.#opening === undefined) this.#progress.status("loading the models");
    this.#opening ??= openSearch(this.#planned);
    return this.#opening;
  }

  async close(): Promise<void> {
    const open = await this.#opening?.catch(() => undefined);
    await (open ?? this.#planned)[Symbol.asyncDispose]();
  }
}
