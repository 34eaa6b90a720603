/** Offset of the cosine schedule. */
const OFFSET = 0.008;

/**
 * Chance that a code is still there at a time in [0, 1] (t / T): the schedule of VQ-DDM, whose cumulative product is the
 * root of the usual cosine schedule's.
 */
export function keepShare(time: number): number {
  const angle = (at: number): number => ((at + OFFSET) / (1 + OFFSET)) * (Math.PI / 2);
  return Math.max(0, Math.cos(angle(time))) / Math.cos(angle(0));
}

/**
 * The posterior of a step from time `t` to `s` under the uniform kernel (VQ-DDM, strided):
 * `p(x_s) ~ [a 1(x_s = x_t) + (1 - a)/K] [A_s p0 + (1 - A_s)/K]` with `A` the cumulative keep and `a = A_t / A_s`.
 *
 * @param clean `p(x_0)` by entry; sums to 1
 * @param noisy the code at `t`
 * @param out   gets the weights
 * @returns their sum
 */
export function posterior(
  clean: Float64Array,
  noisy: number,
  from: number,
  to: number,
  out: Float64Array,
): number {
  const entries = clean.length;
  const kept = to === 0 ? 1 : keepShare(to);
  const step = keepShare(from) / kept;
  const other = (1 - step) / entries;
  const spread = (1 - kept) / entries;
  let sum = 0;
  for (let entry = 0; entry < entries; entry++) {
    const weight = (entry === noisy ? other + step : other) * (kept * clean[entry]! + spread);
    out[entry] = weight;
    sum += weight;
  }
  return sum;
}

/** Times of so many steps: 1, ..., 0. */
export function timesOf(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, step) => (steps - step) / steps);
}
