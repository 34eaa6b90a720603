import type { Atom } from "./benchmark.ts";
import { FULL_VIEW, type StageSignals, type View } from "./generator.ts";
import type { CandidateId } from "./ids.ts";
import type { Tensor } from "./tensor.ts";
import type { Tokens } from "./tokens.ts";

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
  | { readonly type: "refine"; readonly population: Population; readonly share: number }
  | { readonly type: "rewind"; readonly population: Population; readonly to: number }
  | {
      readonly type: "score";
      readonly population: Population;
      readonly rows: readonly number[];
      readonly reward: string;
      readonly view: View;
    }
  | { readonly type: "atoms"; readonly population: Population; readonly reward: string; readonly view: View }
  | { readonly type: "features"; readonly population: Population; readonly view: View }
  | { readonly type: "tokens"; readonly population: Population }
  | {
      readonly type: "select" | "branch";
      readonly population: Population;
      readonly picks: readonly number[];
      readonly why: Why;
    }
  | { readonly type: "release"; readonly population: Population };

/** An action of one type. */
export type ActionOf<Type extends SearchAction["type"]> = Extract<SearchAction, { type: Type }>;

/** What can be seen, by kind. */
export interface Sights {
  readonly nothing: null;
  readonly signals: StageSignals;
  readonly scores: Float64Array;
  readonly atoms: readonly (readonly Atom[])[];
  readonly features: Tensor;
  readonly tokens: readonly Tokens[];
}
export type Sight = keyof Sights;

/** What each verb shows. */
export const SIGHT_OF = {
  start: "nothing",
  step: "signals",
  refine: "signals",
  rewind: "nothing",
  score: "scores",
  atoms: "atoms",
  features: "features",
  tokens: "tokens",
  select: "nothing",
  branch: "nothing",
  release: "nothing",
} as const satisfies Record<SearchAction["type"], Sight>;

/** The answer to an action: the population that it concerns or leads to, and what was seen. */
export interface SearchObservation {
  readonly population: Population;
  readonly seen: Sights[Sight];
}

/** What a program returns: the finished candidates and which of them is the answer. */
export interface SearchOutcome {
  /** A population at the last stage. The engine looks at all of it in full and reports it. */
  readonly finalists: Population;
  /** Row of the answer within `finalists`. */
  readonly best: number;
}

// The verbs of search programs. Each delegates one action to whoever drives the program; the driver answers every action
// with what `SIGHT_OF` says of it, which is the only place where the pairing is relied on.

function* ask<Action extends SearchAction>(
  action: Action,
): SearchProgram<{ population: Population; seen: Sights[(typeof SIGHT_OF)[Action["type"]]] }> {
  return (yield action) as { population: Population; seen: Sights[(typeof SIGHT_OF)[Action["type"]]] };
}

/** Begins `width` new root candidates. May be called again later for fresh candidates (restarts). */
export function* start(width: number): SearchProgram<Population> {
  return (yield* ask({ type: "start", width })).population;
}

/** Runs the next stage; the given handle is replaced by the returned one. */
export function* step(
  population: Population,
): SearchProgram<{ population: Population; signals: StageSignals }> {
  const after = yield* ask({ type: "step", population });
  return { population: after.population, signals: after.seen };
}

/** Runs stages until `stage` stages are done. */
export function* stepTo(population: Population, stage: number): SearchProgram<Population> {
  let current = population;
  while (current.stage < stage) current = (yield* step(current)).population;
  return current;
}

/**
 * Draws a share, in (0, 1], of the latest stage's least certain tokens again. The candidates continue under new ids, as
 * copies of what they were. For models that can `refine`.
 */
export function* refine(
  population: Population,
  share: number,
): SearchProgram<{ population: Population; signals: StageSignals }> {
  const after = yield* ask({ type: "refine", population, share });
  return { population: after.population, signals: after.seen };
}

/**
 * Goes back to when `stage` stages were done; from there the candidates draw anew, under new ids. For models that can
 * `rewind`.
 */
export function* rewind(population: Population, stage: number): SearchProgram<Population> {
  return (yield* ask({ type: "rewind", population, to: stage })).population;
}

export interface ObserveOptions {
  /** Size and kind of look; omitted: the whole picture as it is. */
  readonly view?: View;
}

/** Looks at candidates (once each) and scores them. */
export function* score(
  population: Population,
  reward: string,
  options: ObserveOptions & { readonly rows?: readonly number[] } = {},
): SearchProgram<Float64Array> {
  const { view = FULL_VIEW, rows = population.ids.map((_, row) => row) } = options;
  return (yield* ask({ type: "score", population, rows, reward, view })).seen;
}

/**
 * What scores that were asked for are made of, by candidate: the reward's questions with their answers. They are at hand, so
 * reading them costs nothing. For rewards whose traits have `atoms`; a dry run has none to tell: its lists are empty.
 */
export function* atoms(population: Population, reward: string, { view = FULL_VIEW }: ObserveOptions = {}) {
  return (yield* ask({ type: "atoms", population, reward, view })).seen;
}

/** Looks at all candidates (once each) and extracts one feature vector per candidate: [width, dim]. */
export function* features(population: Population, options: ObserveOptions = {}): SearchProgram<Tensor> {
  return (yield* ask({ type: "features", population, view: options.view ?? FULL_VIEW })).seen;
}

/**
 * Tokens that the latest stage drew, by candidate. They are at hand, so reading them costs nothing. `tokenVectors` makes
 * vectors of them whose squared distance counts how much they differ.
 */
export function* tokens(population: Population): SearchProgram<readonly Tokens[]> {
  return (yield* ask({ type: "tokens", population })).seen;
}

/** Keeps, reorders or duplicates candidates (indices into `population.ids`); replaces the given handle. */
export function* select(
  population: Population,
  picks: readonly number[],
  why: Why = {},
): SearchProgram<Population> {
  return (yield* ask({ type: "select", population, picks, why })).population;
}

/** Like `select`, but the given population stays alive beside the new one (for roll-outs). */
export function* branch(
  population: Population,
  picks: readonly number[],
  why: Why = {},
): SearchProgram<Population> {
  return (yield* ask({ type: "branch", population, picks, why })).population;
}

/** Frees a population that is no longer needed. */
export function* release(population: Population): SearchProgram<void> {
  yield* ask({ type: "release", population });
}
