import type { CandidateId } from "../../src/core/ids.ts";
import type { RngStream } from "../../src/core/rng.ts";
import { pick, rowsById } from "./order.ts";
import { normalise } from "./weights.ts";

/**
 * Drawing `count` of the candidates in proportion to their weights. All but Gumbel top-k draw with replacement and are
 * unbiased: the expected number of copies of candidate i is count * w_i. See docs/search.md for their variances.
 */
export const RESAMPLINGS = ["multinomial", "systematic", "stratified", "residual", "gumbel"] as const;
export type Resampling = (typeof RESAMPLINGS)[number];

/**
 * Draws rows of a population. The draw runs over the candidates in the order of their ids, so permuting the batch
 * permutes the result.
 *
 * @param logs   log weights by row, any scale
 * @param stream uniforms of this decision
 * @returns rows in ascending order, repeated for copies
 */
export function resample(
  kind: Resampling,
  ids: readonly CandidateId[],
  logs: ArrayLike<number>,
  count: number,
  stream: RngStream,
): number[] {
  const order = rowsById(ids);
  const ordered = pick(logs, order);
  const places =
    kind === "gumbel" ? gumbelTop(ordered, count, stream) : draw(kind, normalise(ordered), count, stream);
  return pick(order, places).sort((a, b) => a - b);
}

function draw(
  kind: Exclude<Resampling, "gumbel">,
  weights: ArrayLike<number>,
  count: number,
  stream: RngStream,
): number[] {
  switch (kind) {
    case "multinomial":
      return multinomial(weights, count, stream);
    case "systematic":
      return systematic(weights, count, stream);
    case "stratified":
      return stratified(weights, count, stream);
    case "residual":
      return residual(weights, count, stream);
  }
}

/** Independent draws: Var(n_i) = count * w_i * (1 - w_i). */
export function multinomial(weights: ArrayLike<number>, count: number, stream: RngStream): number[] {
  return invert(
    weights,
    Array.from({ length: count }, (_, index) => stream.uniform(index)).sort((a, b) => a - b),
  );
}

/** One uniform for all: n_i is floor or ceiling of count * w_i; equal weights and count = n keep everyone. */
export function systematic(weights: ArrayLike<number>, count: number, stream: RngStream): number[] {
  const offset = stream.uniform(0);
  return invert(
    weights,
    Array.from({ length: count }, (_, index) => (index + offset) / count),
  );
}

/** One uniform for each of `count` equal strata. */
export function stratified(weights: ArrayLike<number>, count: number, stream: RngStream): number[] {
  return invert(
    weights,
    Array.from({ length: count }, (_, index) => (index + stream.uniform(index)) / count),
  );
}

/** floor(count * w_i) copies for certain, the rest multinomially from the remainders. */
export function residual(weights: ArrayLike<number>, count: number, stream: RngStream): number[] {
  const expected = Array.from(weights, (weight) => count * weight);
  // A product that misses an integer by rounding alone is that integer.
  const whole = expected.map((value) => Math.floor(value + 1e-9));
  const certain = whole.flatMap((copies, index) => new Array<number>(copies).fill(index));
  const rest = count - certain.length;
  if (rest <= 0) return certain.slice(0, count);
  const remainders = expected.map((value, index) => Math.max(0, value - whole[index]!));
  const total = remainders.reduce((sum, value) => sum + value, 0);
  const drawn = multinomial(
    remainders.map((value) => value / total),
    rest,
    stream,
  );
  return [...certain, ...drawn].sort((a, b) => a - b);
}

/**
 * Without replacement (Plackett-Luce): the `count` largest of log w_i + Gumbel noise. Of more than there are, everyone
 * is taken equally often and only the remainder is drawn.
 */
export function gumbelTop(logs: ArrayLike<number>, count: number, stream: RngStream): number[] {
  const everyone = Array.from(logs, (_, index) => index);
  const keys = everyone.map(
    (index) => logs[index]! - Math.log(-Math.log(openUniform(stream.uniform(index)))),
  );
  const rounds = Math.floor(count / everyone.length);
  const drawn = [...everyone].sort((a, b) => keys[b]! - keys[a]! || a - b).slice(0, count % everyone.length);
  const full = Array.from({ length: rounds }, () => everyone).flat();
  return [...full, ...drawn].sort((a, b) => a - b);
}

/** Keeps a 32-bit uniform inside (0, 1), where the logarithms are finite. */
function openUniform(uniform: number): number {
  return (uniform * 2 ** 32 + 0.5) / 2 ** 32;
}

/** Places of ascending points in [0, 1) on the cumulative weights; a point on a border belongs to the upper place. */
function invert(weights: ArrayLike<number>, points: readonly number[]): number[] {
  let last = weights.length - 1;
  while (last > 0 && weights[last] === 0) last -= 1;
  let place = 0;
  let cumulative = weights[0]!;
  return points.map((point) => {
    // Rounding may leave the total below the largest point: the last place with weight takes it.
    while (place < last && point >= cumulative) cumulative += weights[++place]!;
    return place;
  });
}
