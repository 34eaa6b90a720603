import type { FeatureExtractor } from "./features.ts";
import type { Listing } from "./registry.ts";
import type { Reward, RewardContext, RewardItem, RewardScores, RewardTraits } from "./reward.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** What the factory of a plug-in may use of its surroundings. */
export interface PluginHost {
  /** Folder against which relative paths in the options are resolved. */
  readonly baseDir: string;
  /** Whether weights may be fetched from a model hub. */
  readonly allowDownload: boolean;
  log(level: "debug" | "info" | "warn", message: string): void;
}

export interface RewardHost extends PluginHost {
  /** Loads another reward by its spec, for rewards made of rewards. The caller disposes of it. */
  loadReward(spec: string, options?: unknown): Promise<Reward>;
  /** Another reward's traits, without its weights where possible. */
  describeReward(spec: string, options?: unknown): Promise<RewardTraits>;
}

/** A reward as a plug-in: description, options, and a factory. */
export interface RewardDefinition<Options = unknown> extends Listing {
  readonly license: string;
  readonly options: StandardSchema<Options>;
  /** The traits without loading weights, for plans; absent: the reward must be created to know them. */
  traits?(options: Options, host: RewardHost): Promise<RewardTraits>;
  create(options: Options, host: RewardHost): Promise<Reward> | Reward;
}

/**
 * What a reward plug-in must give; everything else has a default: the file's name, its hash as version, higher is
 * better, no range, no FLOPs.
 */
export interface RewardDraft extends Partial<Omit<RewardTraits, "modelId">>, Partial<AsyncDisposable> {
  readonly modelId?: string;
  readonly maxBatch?: number;
  /** Milliseconds that one call of `score` may take before the run stops. */
  readonly timeoutMs?: number;
  score(
    batch: readonly RewardItem[],
    context: RewardContext,
  ): Promise<RewardScores | ArrayLike<number | null>> | RewardScores | ArrayLike<number | null>;
}

export type RewardFactory<Options = Record<string, unknown>> = (
  options: Options,
  host: RewardHost,
) => RewardDraft | Promise<RewardDraft>;

/** A feature extractor as a plug-in. */
export interface FeatureDefinition<Options = unknown> extends Listing {
  readonly options: StandardSchema<Options>;
  create(options: Options, host: PluginHost): Promise<FeatureExtractor> | FeatureExtractor;
}

/** What a feature plug-in must give; name, version and FLOPs have defaults. */
export interface FeatureDraft
  extends Partial<Pick<FeatureExtractor, "name" | "version" | "flops">>,
    Partial<AsyncDisposable> {
  /** Milliseconds that one call of `extract` may take before the run stops. */
  readonly timeoutMs?: number;
  extract: FeatureExtractor["extract"];
}

export type FeatureFactory<Options = Record<string, unknown>> = (
  options: Options,
  host: PluginHost,
) => FeatureDraft | Promise<FeatureDraft>;

/** Marks factories, which are functions as the shorthand forms are. Global, so that copies of this package agree. */
export const factoryMark = Symbol.for("tts-var.factory");

/**
 * Marks a factory of rewards as such: `export default defineReward(async (options, host) => ({ score }))`. Without the
 * mark, a default-exported function is taken for the shorthand that scores a batch itself.
 */
export function defineReward<Options = Record<string, unknown>>(
  factory: RewardFactory<Options>,
): RewardFactory<Options> {
  return Object.assign(factory, { [factoryMark]: "reward" });
}

/** Marks a factory of feature extractors; without the mark a function is taken for `extract` itself. */
export function defineFeatures<Options = Record<string, unknown>>(
  factory: FeatureFactory<Options>,
): FeatureFactory<Options> {
  return Object.assign(factory, { [factoryMark]: "features" });
}
