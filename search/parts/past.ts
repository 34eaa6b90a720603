import type { CandidateId } from "../../src/core/ids.ts";
import {
  branch,
  type Population,
  release,
  type SearchProgram,
  select,
  step,
} from "../../src/core/program.ts";

/**
 * Finished candidates, and themselves as they were after each of their first stages. Any of these can be drawn on from
 * again; branches share their caches, so a past costs memory and nothing else.
 */
export interface WithPast {
  readonly population: Population;
  /** After so many stages; none at 0, where another sample is drawn instead. */
  readonly past: readonly (Population | undefined)[];
}

/** Runs the remaining stages, keeping what candidates were after up to `deepest` stages. */
export function* finishWithPast(
  from: Population,
  stages: number,
  deepest: number,
  before: WithPast["past"] = [],
): SearchProgram<WithPast> {
  const past = before.slice(0, from.stage + 1);
  let population = from;
  while (population.stage < stages) {
    const { stage, ids } = population;
    if (stage > 0 && stage <= deepest && !past[stage])
      past[stage] = yield* branch(population, rowsOf(ids), { rule: "keep" });
    population = (yield* step(population)).population;
  }
  return { population, past };
}

/** One of several candidates, the others let go. */
export function* onlyOf(
  { population, past }: WithPast,
  row: number,
  why: Readonly<Record<string, unknown>>,
): SearchProgram<WithPast> {
  const own: (Population | undefined)[] = [];
  for (const [stage, moment] of past.entries()) own[stage] = moment && (yield* select(moment, [row], why));
  return { population: yield* select(population, [row], why), past: own };
}

/** A copy of a candidate as it was after some stages, under a new id, so that it draws anew from there. */
export function* copyAt(
  moment: Population,
  why: Readonly<Record<string, unknown>>,
): SearchProgram<Population> {
  // The first child would only repeat its parent.
  const both = yield* branch(moment, [0, 0], why);
  return yield* select(both, [1], why);
}

/** Lets go of a candidate and of those moments of its past that are not `shared` with another. */
export function* letGo({ population, past }: WithPast, shared: WithPast["past"]): SearchProgram<void> {
  yield* release(population);
  for (const moment of past) if (moment && !shared.includes(moment)) yield* release(moment);
}

function rowsOf(ids: readonly CandidateId[]): number[] {
  return ids.map((_, row) => row);
}
