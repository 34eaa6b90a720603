import type { Tensor } from "../core/tensor.ts";
import { type TokenKind, type Tokens, tokenVectors } from "../core/tokens.ts";

/** What a set of answers should be. */
export interface BestKWish {
  /** Answers in the set, at least 1. */
  readonly keep: number;
  /** From 0 (only how good they are) to 1 (only how different). */
  readonly diversity: number;
}

/** Candidates that are compared: so many of the best, or four for each that is kept. Distances grow with their square. */
const POOL = 64;

/**
 * Chooses the *best-k* set: candidates that are good and different. Of all sets with the answer in it, it looks for the one
 * with the largest `(1 - diversity) * mean quality + diversity * mean distance of two`, greedily and then by exchanges
 * until none helps (the objective of Scaling Group Inference, arXiv 2508.15773). Quality is the score between the
 * pool's worst (0) and best (1), distance relative to the pool's largest. Two equal candidates are never both kept.
 *
 * @param scores   higher is better, by candidate
 * @param best     row of the answer, always the first of the set
 * @param distancesOf distances of the given rows, `[row][row]`, at least 0
 * @returns rows, the answer first, then by score; fewer than `keep` if there are not so many different ones
 */
export function bestK(
  scores: ArrayLike<number>,
  best: number,
  distancesOf: (rows: readonly number[]) => readonly (readonly number[])[],
  { keep, diversity }: BestKWish,
): number[] {
  const byScore = Array.from(scores, (_, row) => row)
    .filter((row) => row !== best)
    .sort((a, b) => scores[b]! - scores[a]! || a - b);
  const pool = [best, ...byScore].slice(0, Math.max(POOL, 4 * keep));
  const apart = distancesOf(pool);
  const widest = Math.max(...apart.flat(), Number.MIN_VALUE);
  const values = pool.map((row) => scores[row]!);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const quality = values.map((value) => (high > low ? (value - low) / (high - low) : 1));

  const worth = (set: readonly number[]): number => {
    let [good, far] = [0, 0];
    for (const [index, a] of set.entries()) {
      good += quality[a]!;
      for (const b of set.slice(0, index)) far += apart[a]![b]! / widest;
    }
    const pairs = (set.length * (set.length - 1)) / 2;
    return ((1 - diversity) * good) / set.length + (pairs === 0 ? 0 : (diversity * far) / pairs);
  };
  const fits = (set: readonly number[], one: number): boolean =>
    set.every((other) => apart[one]![other]! > 0);
  const others = pool.map((_, at) => at).slice(1);

  let set = [0];
  while (set.length < keep) {
    const free = others.filter((one) => fits(set, one));
    if (free.length === 0) break;
    set = largest(
      free.map((one) => [...set, one]),
      worth,
    );
  }
  for (;;) {
    const exchanged = set.slice(1).flatMap((out) => {
      const rest = set.filter((one) => one !== out);
      return others.filter((one) => one !== out && fits(rest, one)).map((one) => [...rest, one]);
    });
    const better = largest([set, ...exchanged], worth);
    // A gain below rounding could be exchanged forth and back for ever.
    if (worth(better) <= worth(set) + 1e-12) break;
    set = better;
  }
  const rest = set.slice(1).sort((a, b) => values[b]! - values[a]! || pool[a]! - pool[b]!);
  return [0, ...rest].map((at) => pool[at]!);
}

/** The first of the largest. */
function largest(sets: readonly number[][], worth: (set: readonly number[]) => number): number[] {
  let [found, most] = [sets[0]!, worth(sets[0]!)];
  for (const set of sets.slice(1)) {
    const value = worth(set);
    if (value > most) [found, most] = [set, value];
  }
  return found;
}

/**
 * How much candidates differ by the tokens that they drew, which are at hand and cost nothing: squared distances of each
 * stage's tokens relative to that stage's mean, averaged over the stages, so that coarse stages of few tokens count as much
 * as fine ones of many.
 *
 * @param tokens by candidate and stage
 * @returns `[candidate][candidate]`
 */
export function tokenDistances(kind: TokenKind, tokens: readonly (readonly Tokens[])[]): number[][] {
  const sums = tokens.map(() => new Array<number>(tokens.length).fill(0));
  let telling = 0;
  for (const stage of (tokens[0] ?? []).keys()) {
    const apart = squaredDistances(
      tokenVectors(
        kind,
        tokens.map((each) => each[stage]!),
      ),
    );
    const total = apart.flat().reduce((sum, value) => sum + value, 0);
    if (total === 0) continue;
    telling++;
    const mean = total / (tokens.length * (tokens.length - 1));
    for (const [a, row] of apart.entries())
      for (const [b, value] of row.entries()) sums[a]![b]! += value / mean;
  }
  return sums.map((row) => row.map((sum) => sum / Math.max(1, telling)));
}

function squaredDistances({ dims, data }: Tensor): number[][] {
  const [rows, dim] = dims as [number, number];
  const apart = Array.from({ length: rows }, () => new Array<number>(rows).fill(0));
  for (let a = 0; a < rows; a++) {
    for (let b = 0; b < a; b++) {
      let sum = 0;
      for (let at = 0; at < dim; at++) {
        const difference = data[a * dim + at]! - data[b * dim + at]!;
        sum += difference * difference;
      }
      apart[a]![b] = sum;
      apart[b]![a] = sum;
    }
  }
  return apart;
}
