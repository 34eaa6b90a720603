import { createHash } from "node:crypto";
import { memoryLimit } from "../config/memory-limit.ts";
import type { SearchConfig } from "../config/schema.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import { Disposal } from "../core/disposal.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, SamplingSettings } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { Reward } from "../core/reward.ts";
import type { Calibration } from "../core/calibration.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import { type PlanInput, planSearch, type SearchPlan } from "../engine/plan.ts";
import type { ShapeWish } from "../generators/choose-shape.ts";
import type { GeneratorTraits } from "../generators/definition.ts";
import { describeFixed, type FixedRequest, fixRequests } from "../generators/fix-requests.ts";
import { resolveSettings } from "../generators/settings.ts";
import { bitsFor, readBitsFile } from "../generators/tokens-file.ts";
import { KeptPlugins } from "../plugins/kept-plugins.ts";
import { describeReward, loadReward } from "../plugins/load-reward.ts";
import { loadStrategy } from "../plugins/load-strategy.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import { rewardRegistry, strategyRegistry } from "./builtins.ts";
import { findCalibration } from "./find-calibration.ts";
import { type FoundGenerator, findGenerator } from "./find-generator.ts";
import { featureCost, openFeatures, type PlanHost } from "./open-features.ts";

/**
 * A configuration whose names, options and cost are known to be good; no weights are loaded. Plug-ins that had to be
 * opened to be described wait in it for `openSearch`; disposing of it closes those that nobody opened.
 */
export interface PlannedSearch extends AsyncDisposable {
  readonly config: SearchConfig;
  readonly host: PluginHost;
  readonly kept: KeptPlugins;
  readonly generator: GeneratorTraits;
  readonly found: FoundGenerator;
  /** Aspect ratio and size that the generator is opened with. */
  readonly shape: ShapeWish;
  /** What every request of the search has besides prompt and seed. */
  readonly fixed: FixedRequest;
  readonly strategy: SearchFunction;
  readonly strategyOptions: unknown;
  /** Versions of what decides the search besides its models: code and files that stand in the configuration by name. */
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: SamplingSettings;
  readonly calibration: Calibration | null;
  /** What the plan was made of; a replay needs the same. */
  readonly planInput: PlanInput;
  readonly plan: SearchPlan;
}

/** The opened models of a planned search. The caller disposes of them. */
export interface OpenSearch extends AsyncDisposable {
  readonly generator: Generator;
  readonly reward: Reward;
  readonly features: FeatureSource;
}

/**
 * Checks everything that can be checked before a model loads, and prices the search.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN, CONFIG_INVALID, MODEL_NOT_FOUND, BUDGET_INFEASIBLE, ...
 */
export async function planConfig(config: SearchConfig, host: PluginHost): Promise<PlannedSearch> {
  const owned = new Disposal();
  const kept = owned.use(new KeptPlugins());
  return owned.during(() => planWith(config, host, kept));
}

async function planWith(config: SearchConfig, host: PluginHost, kept: KeptPlugins): Promise<PlannedSearch> {
  const { value: strategy } = await loadStrategy(config.strategy.name, config.strategy.options, {
    registry: strategyRegistry,
    baseDir: host.baseDir,
  });
  const found = await findGenerator(config.model);
  const { shape, fixed, generator } = await describeSampler(config, found);
  const settings = resolveSettings(generator.defaults, config.sampling, generator.scales.length);
  const reward = await describeReward(config.reward.name, config.reward.options, {
    ...host,
    registry: rewardRegistry,
    kept,
  });
  const calibration = await findCalibration(
    config.calibration,
    {
      modelName: config.model,
      model: `${generator.name}@${generator.version}`,
      reward: config.reward.name,
      rewardVersion: reward.version,
    },
    (message) => host.log("warn", message),
  );
  const planInput: PlanInput = {
    generator,
    strategy: strategy.search,
    rewards: { [config.reward.name]: reward },
    primaryReward: config.reward.name,
    features: await featureCost(config.features, { ...host, kept }),
    settings,
    units: config.budget,
    calibration,
    seed: config.seed,
    prompt: config.prompt,
    maxMemory: memoryLimit(config.maxMemory),
  };
  return {
    config,
    host,
    generator,
    found,
    shape,
    fixed,
    strategy: strategy.search,
    strategyOptions: strategy.options,
    versions: {
      ...(strategy.version === null ? {} : { [`strategy ${strategy.name}`]: strategy.version }),
      ...(calibration && config.calibration !== undefined ? { calibration: hashOf(calibration) } : {}),
    },
    settings,
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

/** The generator as configured: its shape, and what is forced on it. */
async function describeSampler({ sampling, negativePrompt }: SearchConfig, { definition }: FoundGenerator) {
  const { schedule, ratio, size, bits: path, bitsUntil } = sampling;
  if (path === undefined && bitsUntil !== undefined) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      "sampling.bitsUntil needs sampling.bits: give a file with --bits",
    );
  }
  const file = path === undefined ? null : await readBitsFile(path);
  const asked = schedule !== undefined || ratio !== undefined || size !== undefined;
  const shape: ShapeWish = asked ? { schedule, ratio, size } : { schedule: file?.schedule };
  const described = await definition.describe(shape);
  const fixed: FixedRequest = {
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
    ...(file && path !== undefined ? { forcedBits: bitsFor(described, file, path, bitsUntil) } : {}),
  };
  return { shape, fixed, generator: describeFixed(described, fixed) };
}

/**
 * Loads the models that the plan needs, verified against their manifests.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, PLUGIN_INVALID, ...
 */
export async function openSearch(planned: PlannedSearch): Promise<OpenSearch> {
  const { config, plan } = planned;
  const host = { ...planned.host, kept: planned.kept };
  const owned = new Disposal();
  owned.use(planned.kept);
  const own = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => owned.use(await opening);
  const rowsAtOnce = plan.memory?.rowsAtOnce;
  const options = {
    shape: planned.shape,
    ...(config.threads === undefined ? {} : { threads: config.threads }),
    ...(rowsAtOnce === undefined ? {} : { rowsAtOnce }),
  };
  const wanted = plan.rows.some((row) => row.features > 0);
  // Opened side by side; all have to settle before a failure goes on, so that none stays open.
  const opening = [
    own(planned.found.definition.open(options)),
    own(openReward(config, host)),
    wanted ? own(openFeatures(config.features, host)) : unopenedFeatures(config, host),
  ] as const;
  await Promise.allSettled(opening);
  return owned.during(async () => {
    const [generator, reward, features] = await Promise.all(opening);
    return {
      generator: fixRequests(generator, planned.fixed),
      reward,
      features,
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    };
  });
}

/**
 * Prices features as the plan did, without their model. The price has to stay: a strategy that thought features free
 * would fit another, wider search into the budget than the one that was planned.
 */
async function unopenedFeatures({ features }: SearchConfig, host: PlanHost): Promise<FeatureSource> {
  const { flops } = await featureCost(features, host);
  const vectors = () => Promise.reject(new Error("the plan asked for no features"));
  return { name: `${features.model}/${features.reduction}`, version: null, flops, vectors };
}

async function openReward({ reward }: SearchConfig, host: PlanHost): Promise<Reward> {
  const loaded = await loadReward(reward.name, reward.options, { ...host, registry: rewardRegistry });
  return createScoring(loaded.value, { spec: reward.name, options: reward.options });
}
