/**
 * The public interface of tts-var. Only what is exported here (and in `tts-var/testing`) is stable.
 */

export { type OpenSearch, openSearch, type PlannedSearch, planConfig } from "./assemble/open-search.ts";
// Searching: a configuration in, images out.
export { type ConfigSources, type ResolvedConfig, resolveConfig } from "./config/resolve.ts";
export type { SearchConfig } from "./config/schema.ts";
// Reading what a run wrote.
export type { Spending } from "./core/budget.ts";
// Values: images, tensors, randomness, identities, errors.
export { type ErrorCode, TtsVarError } from "./core/errors.ts";
// Writing a reward or a feature extractor.
export type { FeatureExtractor, FeatureReduction, ImageFeatures } from "./core/features.ts";
// Writing a strategy: the verbs of search programs.
// Writing a generator.
export type {
  Generator,
  GeneratorCost,
  LatentSize,
  Pick,
  SampleRequest,
  SamplingSettings,
  Session,
  StageSignals,
} from "./core/generator.ts";
export type { CandidateId } from "./core/ids.ts";
export { pixelHash, type RgbImage } from "./core/image.ts";
export {
  defineFeatures,
  defineReward,
  type FeatureDefinition,
  type FeatureDraft,
  type FeatureFactory,
  type PluginHost,
  type RewardDefinition,
  type RewardDraft,
  type RewardFactory,
  type RewardHost,
} from "./core/plugin.ts";
export type { Reward, RewardContext, RewardItem, RewardScores, RewardTraits } from "./core/reward.ts";
export { createRng, type Rng, type RngPurpose, type RngStream } from "./core/rng.ts";
export type { Scale } from "./core/schedule.ts";
export type { StandardSchema } from "./core/standard-schema.ts";
export {
  branch,
  type Calibration,
  type CostModel,
  defineStrategy,
  features,
  type Population,
  release,
  type ScaleCalibration,
  type SearchAction,
  type SearchFunction,
  type SearchObservation,
  type SearchOutcome,
  type SearchProgram,
  type SearchSpace,
  type Strategy,
  score,
  select,
  start,
  step,
  stepTo,
  tokens,
} from "./core/strategy.ts";
export type { Tensor } from "./core/tensor.ts";
export type { TraceEvent, TraceSink } from "./core/trace.ts";
export type { ProgressEvent, SearchTimer } from "./engine/observer.ts";
export { type PlanInput, type PlanRow, planSearch, type SearchPlan } from "./engine/plan.ts";
export { type FinalCandidate, runSearch, type SearchInput, type SearchResult } from "./engine/run-search.ts";
export { decodePng, encodePng } from "./io/png.ts";
export { type RunRecord, type RunStatus, readRunRecord, readTrace } from "./run/run-folder.ts";
