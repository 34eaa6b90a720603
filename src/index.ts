/**
 * The public interface of tts-var. Only what is exported here (and in `tts-var/testing`) is stable.
 */

export { type OpenSearch, openSearch, type PlannedSearch, planConfig } from "./assemble/open-search.ts";
// Searching: a configuration in, images out.
export { type ConfigSources, type ResolvedConfig, resolveConfig, resolveRecipe } from "./config/resolve.ts";
export type { SearchConfig, SearchRecipe } from "./config/schema.ts";
// Reading what a run wrote.
export type { Atom } from "./core/benchmark.ts";
export type { Spending } from "./core/budget.ts";
export type { Calibration, ScaleCalibration } from "./core/calibration.ts";
// Values: images, tensors, randomness, identities, errors.
export { type ErrorCode, TtsVarError } from "./core/errors.ts";
// Writing a reward or a feature extractor.
export type { FeatureExtractor, FeatureReduction, ImageFeatures } from "./core/features.ts";
// Writing a generator.
export {
  type Capability,
  defineGenerator,
  FULL_VIEW,
  type Generator,
  type GeneratorCost,
  type GeneratorDefinition,
  type GeneratorHost,
  type GeneratorMemory,
  type GeneratorRequest,
  type GeneratorTraits,
  type Look,
  type Pick,
  type Picture,
  type Session,
  type Shape,
  SPECIFICATION_VERSION,
  type Stage,
  type StageSignals,
  sidesOf,
  stillOf,
  type View,
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
// Writing a strategy: the verbs of search programs.
export {
  atoms,
  branch,
  features,
  type Population,
  refine,
  release,
  rewind,
  type SearchAction,
  type SearchObservation,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  step,
  stepTo,
  tokens,
} from "./core/program.ts";
export type { Reward, RewardContext, RewardItem, RewardScores, RewardTraits } from "./core/reward.ts";
export { createRng, type Rng, type RngPurpose, type RngStream } from "./core/rng.ts";
export type { StandardSchema } from "./core/standard-schema.ts";
export {
  type CostModel,
  defineStrategy,
  type SearchFunction,
  type SearchSpace,
  type Strategy,
} from "./core/strategy.ts";
export type { Task } from "./core/task.ts";
export type { Tensor } from "./core/tensor.ts";
export { type TokenKind, type Tokens, tokenVectors } from "./core/tokens.ts";
export type { TraceEvent, TraceSink } from "./core/trace.ts";
export type { ProgressEvent, SearchTimer } from "./engine/observer.ts";
export { type PlanInput, type PlanRow, planSearch, type SearchPlan } from "./engine/plan.ts";
export { type FinalCandidate, runSearch, type SearchInput, type SearchResult } from "./engine/run-search.ts";
export type { DrawnRow } from "./generators/batches.ts";
export { type RowModel, rowGenerator } from "./generators/rows.ts";
export { decodePng, encodePng } from "./io/png.ts";
export {
  type OpenOptions,
  open,
  type PromptAnswer,
  type PromptProgress,
  type PromptsOptions,
  type Tts,
  type TtsSettings,
} from "./run/open.ts";
export type { PromptItem, PromptSource } from "./run/prompts.ts";
export { type RunRecord, type RunStatus, readRunRecord, readTrace } from "./run/run-folder.ts";
