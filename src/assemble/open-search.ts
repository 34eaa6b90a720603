import { createHash } from "node:crypto";
import { rejecting } from "../../search/parts/rejecting.ts";
import { memoryLimit } from "../config/memory-limit.ts";
import type { SearchRecipe } from "../config/schema.ts";
import type { Calibration } from "../core/calibration.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { Disposal } from "../core/disposal.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, GeneratorRequest, GeneratorTraits } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { Reward } from "../core/reward.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { Task } from "../core/task.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import { type PlanInput, planSearch, type SearchPlan } from "../engine/plan.ts";
import { runSearch, type SearchInput, type SearchResult } from "../engine/run-search.ts";
import { useProvider } from "../inference/runtime/provider.ts";
import { KeptPlugins } from "../plugins/kept-plugins.ts";
import { describeReward, loadReward } from "../plugins/load-reward.ts";
import { loadRewriter, type Rewriter } from "../plugins/load-rewriter.ts";
import { loadStrategy } from "../plugins/load-strategy.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import { rewardRegistry, strategyRegistry } from "./builtins.ts";
import { configuredTask } from "./configured-task.ts";
import { findCalibration } from "./find-calibration.ts";
import { type FoundGenerator, findGenerator } from "./find-generator.ts";
import { featureCost, openFeatures, type PlanHost } from "./open-features.ts";
import { chargedFor, Rewriting } from "./rewriting.ts";

/**
 * A configuration whose names, options and cost are known to be good; no weights are loaded. Plug-ins that had to be
 * opened to be described wait in it for `openSearch`; disposing of it closes those that nobody opened.
 */
export interface PlannedSearch extends AsyncDisposable {
  readonly config: SearchRecipe;
  readonly host: PluginHost;
  readonly kept: KeptPlugins;
  readonly generator: GeneratorTraits;
  readonly found: FoundGenerator;
  /** What the generator is opened for. */
  readonly request: GeneratorRequest;
  /** The configured task; searches of many prompts give their own prompt, seed and metadata. */
  readonly task: Task;
  readonly strategy: SearchFunction;
  readonly strategyOptions: unknown;
  /** Null: prompts are drawn as they are. */
  readonly rewriter: Rewriter | null;
  /** Versions of what decides the search besides its models: code and files that stand in the configuration by name. */
  readonly versions: Readonly<Record<string, string>>;
  readonly calibration: Calibration | null;
  /** What the plan was made of; a replay needs the same. */
  readonly planInput: PlanInput;
  readonly plan: SearchPlan;
}

/** What a search is given beside its task. */
export type SearchObserver = Pick<SearchInput, "trace" | "timing" | "signal" | "onProgress" | "log"> & {
  /** Looks on at the generator's work. */
  readonly watch?: (generator: Generator) => Generator;
  /** Budget of this one search; default: the configured one. */
  readonly units?: number;
};

/** The opened models of a planned search. The caller disposes of them. */
export interface OpenSearch extends AsyncDisposable {
  readonly generator: Generator;
  readonly reward: Reward;
  readonly features: FeatureSource;
  /** Searches for a task with the planned strategy and budget. */
  run(task: Task, observer?: SearchObserver): Promise<SearchResult>;
}

/**
 * Checks everything that can be checked before a model loads, and prices the search.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN, CONFIG_INVALID, MODEL_NOT_FOUND, BUDGET_INFEASIBLE, ...
 */
export async function planConfig(config: SearchRecipe, host: PluginHost): Promise<PlannedSearch> {
  const owned = new Disposal();
  const kept = owned.use(new KeptPlugins());
  return owned.during(() => planWith(config, host, kept));
}

async function planWith(config: SearchRecipe, host: PluginHost, kept: KeptPlugins): Promise<PlannedSearch> {
  if (config.diversity !== undefined && config.keep === undefined) {
    throw new TtsVarError("CONFIG_INVALID", "diversity needs keep: say how many answers with --keep");
  }
  const { value: strategy } = await loadStrategy(config.strategy.name, config.strategy.options, {
    registry: strategyRegistry,
    baseDir: host.baseDir,
  });
  const search = rejecting(strategy.search, config.reject ?? []);
  const found = await findGenerator(config.model.name, host, config.model.options);
  const rewriter = config.rewrite === undefined ? null : await loadRewriter(config.rewrite, host.baseDir);
  const configured = await configuredTask(config, found.definition);
  const { request, task } = configured;
  const generator = chargedFor(configured.generator, rewriter);
  const reward = await describeReward(config.reward.name, config.reward.options, {
    ...host,
    registry: rewardRegistry,
    kept,
  });
  const calibration = await findCalibration(
    config.calibration,
    {
      modelName: config.model.name,
      model: `${generator.name}@${generator.version}`,
      reward: config.reward.name,
      rewardVersion: reward.version,
    },
    (message) => host.log("warn", message),
  );
  if (config.strategy.name === "auto") {
    const { autoChoice } = await import("../../search/auto.ts");
    const { name } = autoChoice(calibration, config.budget);
    const why = calibration?.recommended ? "by the calibration" : "no calibration compared strategies";
    host.log("info", `strategy auto: ${name} at ${config.budget} units (${why})`);
  }
  const planInput: PlanInput = {
    generator,
    strategy: search,
    rewards: { [config.reward.name]: reward },
    primaryReward: config.reward.name,
    features: await featureCost(config.features, { ...host, kept }),
    units: config.budget,
    calibration,
    seed: task.seed,
    prompt: task.prompt,
    keep: task.keep?.length ?? 0,
    prompts: 1 + (task.promptAt?.length ?? 0),
    maxMemory: memoryLimit(config.maxMemory),
  };
  return {
    config,
    host,
    generator,
    found,
    request,
    task,
    strategy: search,
    strategyOptions: strategy.options,
    rewriter,
    versions: {
      ...(strategy.version === null ? {} : { [`strategy ${strategy.name}`]: strategy.version }),
      ...(rewriter === null ? {} : { [`rewrite ${config.rewrite}`]: rewriter.version }),
      ...(calibration && config.calibration !== undefined ? { calibration: hashOf(calibration) } : {}),
    },
    calibration,
    planInput,
    plan: planSearch(planInput),
    kept,
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex").slice(0, 16);
}

/**
 * Loads the models that the plan needs, verified against their manifests.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, PLUGIN_INVALID, ...
 */
export async function openSearch(planned: PlannedSearch): Promise<OpenSearch> {
  const { config, plan } = planned;
  await useProvider(config.provider);
  const host = { ...planned.host, kept: planned.kept };
  const owned = new Disposal();
  owned.use(planned.kept);
  const own = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => owned.use(await opening);
  const rowsAtOnce = plan.memory?.rowsAtOnce;
  const options = {
    ...(config.threads === undefined ? {} : { threads: config.threads }),
    ...(rowsAtOnce === undefined ? {} : { rowsAtOnce }),
  };
  const wanted = plan.rows.some((row) => row.features > 0);
  // Opened side by side; all have to settle before a failure goes on, so that none stays open.
  const opening = [
    own(planned.found.definition.open(planned.request, options)),
    own(openReward(config, host)),
    wanted ? own(openFeatures(config.features, host)) : lateFeatures(config, host, owned),
  ] as const;
  await Promise.allSettled(opening);
  return owned.during(async () => {
    const [opened, reward, features] = await Promise.all(opening);
    const rewriting = planned.rewriter && new Rewriting(planned.rewriter);
    const generator = rewriting?.charge(opened) ?? opened;
    return {
      generator,
      reward,
      features,
      run: async (task, { watch = (plain: Generator) => plain, units = config.budget, ...observer } = {}) =>
        runSearch({
          generator: watch(generator),
          strategy: planned.strategy,
          rewards: { [config.reward.name]: reward },
          primaryReward: config.reward.name,
          features,
          task: rewriting ? await rewriting.of(task, observer.signal ?? new AbortController().signal) : task,
          units,
          calibration: planned.calibration,
          plan: planFor(planned, units),
          describe: { strategy: config.strategy.name, options: planned.strategyOptions },
          ...observer,
        }),
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    };
  });
}

/**
 * The plan under another budget, for models that are open.
 *
 * @throws TtsVarError BUDGET_INFEASIBLE, MEMORY_INFEASIBLE
 */
export function planFor({ config, plan, planInput }: PlannedSearch, units: number): SearchPlan {
  return units === config.budget ? plan : planSearch({ ...planInput, units });
}

/**
 * Features as the plan priced them; their model is opened when a search does ask, as one with a larger budget may. The price
 * has to stand from the start: a strategy that thought features free would fit another, wider search into the budget.
 */
async function lateFeatures(
  { features }: SearchRecipe,
  host: PlanHost,
  owned: Disposal,
): Promise<FeatureSource> {
  const { flops } = await featureCost(features, host);
  let opening: ReturnType<typeof openFeatures> | undefined;
  let version: string | null = null;
  return {
    name: `${features.model}/${features.reduction}`,
    get version() {
      return version;
    },
    flops,
    async vectors(images) {
      opening ??= openFeatures(features, host).then((source) => owned.use(source));
      const source = await opening;
      version = source.version;
      return source.vectors(images);
    },
  };
}

async function openReward({ reward }: SearchRecipe, host: PlanHost): Promise<Reward> {
  const loaded = await loadReward(reward.name, reward.options, { ...host, registry: rewardRegistry });
  return createScoring(loaded.value, { spec: reward.name, options: reward.options });
}
