import type { z } from "zod";
import { openSearch, type PlannedSearch, planConfig, planFor } from "../assemble/open-search.ts";
import { loadConfigFile } from "../config/load.ts";
import { type ResolvedConfig, resolveRecipe } from "../config/resolve.ts";
import type { recipeSchema, SearchRecipe } from "../config/schema.ts";
import { TtsVarError } from "../core/errors.ts";
import type { GeneratorTraits } from "../core/generator.ts";
import type { ProgressEvent } from "../engine/observer.ts";
import type { SearchPlan } from "../engine/plan.ts";
import type { FinalCandidate, SearchResult } from "../engine/run-search.ts";
import { answersOf } from "./answers.ts";
import { inOrder } from "./in-order.ts";
import type { Progress } from "./progress.ts";
import { itemsOf, type PromptItem, type PromptSource, planPrompt } from "./prompts.ts";
import { runOpened } from "./run-planned.ts";

type RecipeInput = z.input<typeof recipeSchema>;
type Named = "model" | "reward" | "strategy";

/** A configuration as in a file (`docs/cli.md`); model, reward and strategy may be given by name alone. */
export type TtsSettings = Omit<RecipeInput, Named | "out"> & {
  readonly [Key in Named]?: string | RecipeInput[Key];
};

export interface OpenOptions extends TtsSettings {
  /** YAML file with settings, which those given here override. */
  readonly config?: string;
  /** Folder against which paths of plug-ins are resolved; default: the working directory. */
  readonly baseDir?: string;
  /** Told what is worth knowing; default: nobody. */
  readonly log?: (level: "debug" | "info" | "warn", message: string) => void;
}

/** Where a loop over prompts stands. */
export interface PromptProgress extends ProgressEvent {
  /** Number of the prompt, from 0. */
  readonly index: number;
  readonly prompt: string;
}

export interface PromptsOptions {
  /** Units that each prompt may cost; default: as opened. */
  readonly budget?: number;
  /** Stops the loop, which then throws the signal's reason. Run folders are left valid, marked aborted. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PromptProgress) => void;
  /** Writes a run folder for each prompt into this folder, as `tts-var search` does; default: nothing is written. */
  readonly out?: string;
  /** Replace files of others in the run folders. */
  readonly force?: boolean;
  /** Answers to each prompt, and what counts among them: 0, how good they are, to 1, how different; default: as opened. */
  readonly keep?: number;
  readonly diversity?: number;
  /** Searches at a time; default 1. Answers come in the order of the prompts, and depend on it as little as on anything else. */
  readonly jobs?: number;
}

/** The answer to one prompt: best image, all finished candidates, what it cost. */
export interface PromptAnswer extends SearchResult {
  /** Number of the prompt, from 0. */
  readonly index: number;
  /** With `keep`: the best-k set, good and different candidates, the answer first; else the answer alone. */
  readonly bestK: readonly FinalCandidate[];
  /** Absolute path of the run folder; null without `out`. */
  readonly runDir: string | null;
}

/** Models that are loaded and ready. Dispose of it to close them. */
export interface Tts extends AsyncDisposable {
  readonly generator: GeneratorTraits;
  readonly config: SearchRecipe;
  /** What a search costs at most, without running it. */
  plan(budget?: number): SearchPlan;
  /**
   * Searches for each prompt, one answer after the other. Work is done while somebody asks for the next answer; leaving the loop early ends it.
   *
   * @throws TtsVarError, the signal's reason
   */
  search(prompts: PromptSource, options?: PromptsOptions): AsyncGenerator<PromptAnswer, void, undefined>;
}

/**
 * Checks settings, finds and loads what they name, once for any number of prompts.
 *
 * @throws TtsVarError CONFIG_INVALID, PLUGIN_UNKNOWN, MODEL_NOT_FOUND, BUDGET_INFEASIBLE, ...
 */
export async function open(options: OpenOptions = {}): Promise<Tts> {
  const { config: path, baseDir = process.cwd(), log = () => {}, ...settings } = options;
  const file = path === undefined ? {} : { file: await loadConfigFile(path) };
  const opened = flagsOf("open()", settings);
  const resolved = resolveRecipe({ ...file, flags: opened });
  const { allowDownload } = resolved.config;
  const planned = await planConfig(resolved.config, { baseDir, allowDownload, log });
  const models = await openSearch(planned).catch(async (error: unknown) => {
    await planned[Symbol.asyncDispose]();
    throw error;
  });
  let closing: Promise<void> | undefined;
  return {
    generator: models.generator.traits,
    config: resolved.config,
    plan: (budget = resolved.config.budget) => planFor(planned, budget),
    async *search(prompts, { signal, jobs = 1, budget, keep, diversity, ...each } = {}) {
      if (closing) throw new TtsVarError("USAGE", "these models are closed; open them again");
      if (!(Number.isInteger(jobs) && jobs >= 1))
        throw new TtsVarError("USAGE", `jobs must be a whole number from 1, not ${jobs}`);
      const wished = resolveRecipe({
        ...file,
        flags: [...opened, ...flagsOf("search()", { budget, keep, diversity })],
      });
      const shared = { ...planned, config: wished.config, plan: planFor(planned, wished.config.budget) };
      yield* inOrder(itemsOf(prompts), jobs, signal, (item, index, stop) =>
        answer({ models, planned: shared, resolved: wished, log }, item, index, { ...each, signal: stop }),
      );
    },
    async [Symbol.asyncDispose]() {
      closing ??= Promise.resolve(models[Symbol.asyncDispose]());
      await closing;
    },
  };
}

interface Opened {
  readonly models: Awaited<ReturnType<typeof openSearch>>;
  readonly planned: PlannedSearch;
  readonly resolved: ResolvedConfig<SearchRecipe>;
  readonly log: NonNullable<OpenOptions["log"]>;
}

async function answer(
  { models, planned, resolved, log }: Opened,
  item: PromptItem,
  index: number,
  { signal, out, force = false, onProgress }: PromptsOptions & { readonly signal: AbortSignal },
): Promise<PromptAnswer> {
  const own = planPrompt(planned, resolved, item, out);
  const { task } = own.planned;
  const watching = {
    ...(onProgress === undefined
      ? {}
      : { onProgress: (event: ProgressEvent) => onProgress({ ...event, index, prompt: task.prompt }) }),
  };
  if (out === undefined) {
    const result = await models.run(task, { units: planned.config.budget, signal, log, ...watching });
    return { ...result, index, bestK: answersOf(result, own.planned), runDir: null };
  }
  const options = { force, ...watching };
  const { result, summary } = await runOpened(models, own.planned, own.resolved, signal, toLog(log), options);
  const bestK = answersOf(result, own.planned);
  return { ...result, index, bestK, runDir: summary.runDir };
}

function flagsOf(flag: string, settings: object) {
  return Object.entries(settings)
    .filter(([, value]) => value !== undefined)
    .map(([path, value]) => ({ path, value, flag }));
}

function toLog(log: Opened["log"]): Progress {
  return {
    status: () => {},
    line: (text) => log("info", text),
    warn: (text) => log("warn", text),
    end: () => {},
  };
}
