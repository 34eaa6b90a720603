import { readFile } from "node:fs/promises";
import { rewardRegistry, strategyRegistry } from "./builtins.ts";
import type { SearchConfig } from "./config/schema.ts";
import { Disposal } from "./core/disposal.ts";
import { TtsVarError } from "./core/errors.ts";
import type { PluginHost } from "./core/plugin.ts";
import type { Reward } from "./core/reward.ts";
import type { Sampler, SamplingSettings } from "./core/sampler.ts";
import type { Calibration, SearchFunction } from "./core/strategy.ts";
import type { FeatureSource } from "./engine/feature-source.ts";
import { type PlanInput, planSearch, type SearchPlan } from "./engine/plan.ts";
import { type FoundSampler, findSampler } from "./find-sampler.ts";
import { featureCost, openFeatures } from "./open-features.ts";
import { describeReward, loadReward } from "./plugins/load-reward.ts";
import { loadStrategy } from "./plugins/load-strategy.ts";
import type { SamplerDescription } from "./samplers/sampler-definition.ts";
import { resolveSettings } from "./sampling-settings.ts";
import { createScoring } from "./scoring/create-scoring.ts";

/** A configuration whose names, options and cost are known to be good; no weights are loaded. */
export interface PlannedSearch {
  readonly config: SearchConfig;
  readonly host: PluginHost;
  readonly sampler: SamplerDescription;
  readonly found: FoundSampler;
  readonly strategy: SearchFunction;
  readonly strategyOptions: unknown;
  readonly settings: SamplingSettings;
  readonly calibration: Calibration | null;
  /** What the plan was made of; a replay needs the same. */
  readonly planInput: PlanInput;
  readonly plan: SearchPlan;
}

/** The opened models of a planned search. The caller disposes of them. */
export interface OpenSearch extends AsyncDisposable {
  readonly sampler: Sampler;
  readonly reward: Reward;
  readonly features: FeatureSource;
}

/**
 * Checks everything that can be checked before a model loads, and prices the search.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN, CONFIG_INVALID, MODEL_NOT_FOUND, BUDGET_INFEASIBLE, ...
 */
export async function planConfig(config: SearchConfig, host: PluginHost): Promise<PlannedSearch> {
  const { value: strategy } = await loadStrategy(config.strategy.name, config.strategy.options, {
    registry: strategyRegistry,
    baseDir: host.baseDir,
  });
  const found = await findSampler(config.model);
  const sampler = await found.definition.describe();
  const settings = resolveSettings(sampler.defaults, config.sampling, sampler.scales.length);
  const reward = await describeReward(config.reward.name, config.reward.options, {
    ...host,
    registry: rewardRegistry,
  });
  const calibration = config.calibration === undefined ? null : await readCalibration(config.calibration);
  const planInput: PlanInput = {
    sampler,
    strategy: strategy.search,
    rewards: { [config.reward.name]: reward },
    primaryReward: config.reward.name,
    features: await featureCost(config.features, host),
    settings,
    units: config.budget,
    calibration,
    seed: config.seed,
    prompt: config.prompt,
  };
  return {
    config,
    host,
    sampler,
    found,
    strategy: strategy.search,
    strategyOptions: strategy.options,
    settings,
    calibration,
    planInput,
    plan: planSearch(planInput),
  };
}

/**
 * Loads the models that the plan needs, verified against their manifests.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, PLUGIN_INVALID, ...
 */
export async function openSearch(planned: PlannedSearch): Promise<OpenSearch> {
  const { config, host, plan } = planned;
  const owned = new Disposal();
  const own = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => owned.use(await opening);
  const threads = config.threads === undefined ? {} : { threads: config.threads };
  const wanted = plan.rows.some((row) => row.features > 0);
  // Opened side by side; all have to settle before a failure goes on, so that none stays open.
  const opening = [
    own(planned.found.definition.open(threads)),
    own(openReward(config, host)),
    wanted ? own(openFeatures(config.features, host)) : unopenedFeatures(config, host),
  ] as const;
  await Promise.allSettled(opening);
  return owned.during(async () => {
    const [sampler, reward, features] = await Promise.all(opening);
    return { sampler, reward, features, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() };
  });
}

/**
 * Prices features as the plan did, without their model. The price has to stay: a strategy that thought features free
 * would fit another, wider search into the budget than the one that was planned.
 */
async function unopenedFeatures({ features }: SearchConfig, host: PluginHost): Promise<FeatureSource> {
  const { flops } = await featureCost(features, host);
  const vectors = () => Promise.reject(new Error("the plan asked for no features"));
  return { name: `${features.model}/${features.reduction}`, version: null, flops, vectors };
}

async function openReward({ reward }: SearchConfig, host: PluginHost): Promise<Reward> {
  const loaded = await loadReward(reward.name, reward.options, { ...host, registry: rewardRegistry });
  return createScoring(loaded.value, { options: reward.options });
}

async function readCalibration(path: string): Promise<Calibration> {
  const content = await readFile(path, "utf8").then(
    (text) => JSON.parse(text) as Calibration,
    (cause: NodeJS.ErrnoException) => {
      throw new TtsVarError(
        "CONFIG_NOT_FOUND",
        `cannot read the calibration ${path} (${cause.code}); make one with \`tts-var calibrate\``,
        { cause },
      );
    },
  );
  if (content.schemaVersion !== 1 || !Array.isArray(content.scales)) {
    throw new TtsVarError("CONFIG_INVALID", `${path} is no calibration file (schemaVersion 1 with scales)`);
  }
  return content;
}
