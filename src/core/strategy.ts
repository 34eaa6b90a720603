import type { LatentSize, StageSignals } from "./generator.ts";
import type { CandidateId } from "./ids.ts";
import type { RewardTraits } from "./reward.ts";
import type { Rng } from "./rng.ts";
import type { Scale } from "./schedule.ts";
import type { StandardSchema } from "./standard-schema.ts";
import type { Tensor } from "./tensor.ts";

/**
 * A strategy is a *search program*: a pure, synchronous generator that yields what it wants done and is resumed with
 * what was seen. It decides; the engine acts. The same program is run live by the engine, dry by `plan` (on blank
 * observations, see `dryRun`, which prices it before a model loads) and from recorded observations by `replay`.
 *
 * Programs never touch a generator, a clock, the file system or a random generator other than `space.rng`.
 */
export type SearchProgram<Result> = Generator<SearchAction, Result, SearchObservation>;

/** A handle for candidates that advance together. `stage` counts the stages they have done. */
export interface Population {
  readonly key: number;
  readonly ids: readonly CandidateId[];
  readonly stage: number;
}

/** Why a selection was made: weights, effective sample size, cluster labels, ... JSON-safe; goes to the trace. */
export type Why = Readonly<Record<string, unknown>>;

export type SearchAction =
  | { readonly type: "start"; readonly width: number }
  | { readonly type: "step"; readonly population: Population }
  | {
      readonly type: "score";
      readonly population: Population;
      readonly rows: readonly number[];
      readonly reward: string;
      readonly latent: LatentSize | null;
    }
  | { readonly type: "features"; readonly population: Population; readonly latent: LatentSize | null }
  | { readonly type: "tokens"; readonly population: Population }
  | {
      readonly type: "select";
      readonly population: Population;
      readonly picks: readonly number[];
      readonly why: Why;
    }
  | {
      readonly type: "branch";
      readonly population: Population;
      readonly picks: readonly number[];
      readonly why: Why;
    }
  | { readonly type: "release"; readonly population: Population };

export type SearchObservation =
  | { readonly type: "population"; readonly population: Population }
  | { readonly type: "stepped"; readonly population: Population; readonly signals: StageSignals }
  | { readonly type: "scores"; readonly scores: Float64Array }
  | { readonly type: "features"; readonly features: Tensor }
  | { readonly type: "tokens"; readonly tokens: Tensor }
  | { readonly type: "released" };

/** What a program returns: the finished candidates and which of them is the answer. */
export interface SearchOutcome {
  /** A population at the last stage. The engine decodes and reports all of it. */
  readonly finalists: Population;
  /** Row of the answer within `finalists`. */
  readonly best: number;
}

/** FLOPs as a strategy sees them; the engine charges exactly these. */
export interface CostModel {
  /** Transformer FLOPs per candidate and stage under the run's guidance. */
  readonly stages: readonly number[];
  /** Stages that run once whatever the width. */
  readonly sharedStages: number;
  readonly text: number;
  /** One decode at the given latent size (null: full). */
  decode(latent: LatentSize | null): number;
  reward(name: string): number;
  readonly features: number;
  /** One full generation, its final decode and its final score with the primary reward: the unit of `--budget`. */
  readonly unit: number;
}

/** Preview reward against final reward by scale, measured by `tts-var calibrate` within prompts. */
export interface Calibration {
  readonly schemaVersion: 1;
  /** Generator as name@version, the reward, and its version: a calibration holds for these weights only. */
  readonly model: string;
  readonly reward: string;
  readonly rewardVersion: string;
  readonly scales: readonly ScaleCalibration[];
  /** Best pruning schedules under this curve by budget, found by `optimiseSchedule`. */
  readonly schedules?: readonly PruningSchedule[];
  /** How likely a finished image is right; absent when the calibration was made without a verifier. */
  readonly acceptance?: Acceptance;
}

/** Probability that a finished image is right: a logistic regression on its reward, as strategies see it. */
export interface Acceptance {
  /** Reward whose full marks counted as right when this was fitted; a search does not need it. */
  readonly verifier: string;
  readonly intercept: number;
  readonly slope: number;
  /** Beta distribution of a prompt's share of right images over prompts. */
  readonly prior: { readonly right: number; readonly wrong: number };
}

/** Candidates at the start, and how many are kept after which scales. */
export interface PruningSchedule {
  readonly units: number;
  readonly start: number;
  readonly cuts: readonly { readonly scale: number; readonly keep: number }[];
  /** Expected final reward of the answer, in standard deviations within a prompt. */
  readonly expected: number;
}

export interface ScaleCalibration {
  readonly scale: number;
  /** Within-prompt correlation of the preview's and the final reward. */
  readonly correlation: number;
  /** Slope of the regression of the final on the preview reward, within prompts. */
  readonly slope: number;
  /** Standard deviation of the regression's residual. */
  readonly residual: number;
  /** Share of the final reward's within-prompt variance that is decided by this scale's tokens and earlier ones. */
  readonly decided: number;
}

/** Everything a search program may look at. */
export interface SearchSpace {
  readonly scales: readonly Scale[];
  /** Grid of the full latent; previews may use a smaller one. */
  readonly latent: LatentSize;
  readonly cost: CostModel;
  /** `--budget` in units, and the same in FLOPs. */
  readonly units: number;
  readonly limit: number;
  /** FLOPs not yet spent. */
  remaining(): number;
  /** Randomness for decisions (purposes `select` and `cluster`). */
  readonly rng: Rng;
  /** Name of the primary reward and the traits of all rewards that may be asked for. Scores arrive higher-is-better. */
  readonly reward: string;
  readonly rewards: Readonly<Record<string, RewardTraits>>;
  readonly calibration: Calibration | null;
}

export type SearchFunction = (space: SearchSpace) => SearchProgram<SearchOutcome>;

/** A strategy as a plug-in: description, options, and a factory of search programs. */
export interface Strategy<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** Paper and section, or repository. */
  readonly source: string;
  readonly options: StandardSchema<Options>;
  create(options: Options): SearchFunction;
}

/** Typing aid for strategy files and plug-ins. */
export function defineStrategy<Options>(strategy: Strategy<Options>): Strategy<Options> {
  return strategy;
}

// The verbs of search programs. Each delegates one action to whoever drives the program; the driver answers every
// action with the matching observation, which is the only place where the pairing is relied on.

function* ask<Type extends SearchObservation["type"]>(
  action: SearchAction,
  type: Type,
): SearchProgram<Extract<SearchObservation, { type: Type }>> {
  const observation = yield action;
  if (observation.type !== type) throw new Error(`${action.type} was answered with ${observation.type}`);
  return observation as Extract<SearchObservation, { type: Type }>;
}

/** Begins `width` new root candidates. May be called again later for fresh candidates (restarts). */
export function* start(width: number): SearchProgram<Population> {
  return (yield* ask({ type: "start", width }, "population")).population;
}

/** Runs the next stage; the given handle is replaced by the returned one. */
export function* step(
  population: Population,
): SearchProgram<{ population: Population; signals: StageSignals }> {
  return yield* ask({ type: "step", population }, "stepped");
}

/** Runs stages until `stage` stages are done. */
export function* stepTo(population: Population, stage: number): SearchProgram<Population> {
  let current = population;
  while (current.stage < stage) current = (yield* step(current)).population;
  return current;
}

export interface ObserveOptions {
  /** Latent grid of the preview; omitted: full size. */
  readonly latent?: LatentSize | null;
}

/** Decodes (once) and scores candidates; finished ones at full size, unfinished ones as previews. */
export function* score(
  population: Population,
  reward: string,
  options: ObserveOptions & { readonly rows?: readonly number[] } = {},
): SearchProgram<Float64Array> {
  const rows = options.rows ?? population.ids.map((_, row) => row);
  const action = { type: "score", population, rows, reward, latent: options.latent ?? null } as const;
  return (yield* ask(action, "scores")).scores;
}

/** Decodes (once) and extracts one feature vector per candidate: [width, dim]. */
export function* features(population: Population, options: ObserveOptions = {}): SearchProgram<Tensor> {
  return (yield* ask({ type: "features", population, latent: options.latent ?? null }, "features")).features;
}

/**
 * Bits that the latest stage drew, 0 or 1: [width, bits of the stage]. They are at hand, so reading them costs nothing;
 * the squared distance of two rows is their Hamming distance.
 */
export function* tokens(population: Population): SearchProgram<Tensor> {
  return (yield* ask({ type: "tokens", population }, "tokens")).tokens;
}

/** Keeps, reorders or duplicates candidates (indices into `population.ids`); replaces the given handle. */
export function* select(
  population: Population,
  picks: readonly number[],
  why: Why = {},
): SearchProgram<Population> {
  return (yield* ask({ type: "select", population, picks, why }, "population")).population;
}

/** Like `select`, but the given population stays alive beside the new one (for roll-outs). */
export function* branch(
  population: Population,
  picks: readonly number[],
  why: Why = {},
): SearchProgram<Population> {
  return (yield* ask({ type: "branch", population, picks, why }, "population")).population;
}

/** Frees a population that is no longer needed. */
export function* release(population: Population): SearchProgram<void> {
  yield* ask({ type: "release", population }, "released");
}
