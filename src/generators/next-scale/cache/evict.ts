import { philox } from "../../../core/rng.ts";
import type { Grid } from "../resize.ts";
import { attentionOf, type HeadVectors, spread } from "./attention.ts";
import type { CachePolicy } from "./settings.ts";

/** One head's cache after a stage, when it is too long. */
export interface Crowded {
  readonly layer: number;
  readonly head: number;
  /** Old and new keys, in the order of their positions. */
  readonly keys: HeadVectors;
  /** Positions in the sequence of all tokens. */
  readonly positions: ArrayLike<number>;
  /** Queries of the newest scale. */
  readonly queries: HeadVectors;
  /** Token grid of the newest scale. */
  readonly grid: Grid;
  /** Tokens of the first two scales. */
  readonly first: number;
}

/** Queries that HACK observes at most. */
const OBSERVED = 32;
/** From this side on, the window is 4x4 and scores are pooled over 5 tokens, as released; below, 2x2 and 3. */
const LARGE_SIDE = 12;

/** Which of a head's tokens stay, as rising indices: as many as the layer's budget. */
export function keptTokens(policy: CachePolicy, crowded: Crowded): number[] {
  const { keys, layer, head } = crowded;
  const budget = policy.budgets[layer]!;
  const all = Array.from({ length: keys.count }, (_, index) => index);
  if (policy.kind === "hack") {
    const kept = policy.structural[layer]![head]! ? structural(crowded, budget) : contextual(crowded, budget);
    return kept.sort((a, b) => a - b);
  }
  if (policy.tokens === "recent") return all.slice(-budget);
  if (policy.tokens === "random") {
    const dice = all.map((index) => hash(crowded.positions[index]!, layer, head));
    return best(all, dice, budget).sort((a, b) => a - b);
  }
  return window(crowded, budget).sort((a, b) => a - b);
}

/** ScaleKV: the window itself, and what its queries look at, smoothed over neighbours. */
function window({ keys, queries, grid }: Crowded, budget: number): number[] {
  const start = keys.count - queries.count;
  const large = Math.min(grid.h, grid.w) >= LARGE_SIDE;
  const own = windowOf(grid, large ? 4 : 2).slice(0, budget);
  const scores = pooled(attentionOf(queries, own, keys), large ? 5 : 3);
  const fixed = own.map((token) => start + token);
  const others = Array.from({ length: keys.count }, (_, index) => index).filter(
    (index) => !fixed.includes(index),
  );
  return [...fixed, ...best(others, scores, budget - fixed.length)];
}

/** Centres of a `side` x `side` division of a grid, as tokens; small grids have fewer. */
export function windowOf({ h, w }: Grid, side: number): number[] {
  const centres = (length: number): number[] => {
    const part = Math.floor(length / side);
    if (part === 0) return spread(length, side);
    return Array.from({ length: side }, (_, index) => index * part + ((part - 1) >> 1));
  };
  return centres(h).flatMap((y) => centres(w).map((x) => y * w + x));
}

/** HACK, contextual heads: what is looked at most. */
function contextual(crowded: Crowded, budget: number): number[] {
  const all = Array.from({ length: crowded.keys.count }, (_, index) => index);
  return best(all, observed(crowded), budget);
}

/** HACK, structural heads: the first two scales, then the newest, then what is looked at most. */
function structural(crowded: Crowded, budget: number): number[] {
  const { keys, queries, positions, first } = crowded;
  const scores = observed(crowded);
  const newest = keys.count - queries.count;
  const rank = (index: number): number => (positions[index]! < first ? 0 : index >= newest ? 1 : 2);
  const all = Array.from({ length: keys.count }, (_, index) => index);
  return [0, 1, 2]
    .flatMap((wanted) =>
      best(
        all.filter((index) => rank(index) === wanted),
        scores,
        budget,
      ),
    )
    .slice(0, budget);
}

function observed({ queries, keys }: Crowded): Float64Array {
  return attentionOf(queries, spread(queries.count, OBSERVED), keys);
}

/** The `count` of `from` with the highest scores; of equals, the earlier. */
function best(from: readonly number[], scores: ArrayLike<number>, count: number): number[] {
  return [...from].sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, Math.max(0, count));
}

/** Highest score among each token and its neighbours. */
function pooled(scores: Float64Array, width: number): Float64Array {
  const reach = width >> 1;
  return scores.map((_, index) =>
    Math.max(...scores.subarray(Math.max(0, index - reach), index + reach + 1)),
  );
}

function hash(position: number, layer: number, head: number): number {
  const words = new Uint32Array(4);
  philox(position, layer, head, 0, 0, 0, words);
  return words[0]!;
}
