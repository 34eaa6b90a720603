/** Weights from scores, always in log space: no lambda and no score can overflow them. */

/** log(sum(exp(values))); -Infinity for an empty list or one of only -Infinity. */
export function logSumExp(values: ArrayLike<number>): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < values.length; index++) max = Math.max(max, values[index]!);
  if (max === Number.NEGATIVE_INFINITY) return max;
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += Math.exp(values[index]! - max);
  return max + Math.log(sum);
}

/**
 * log weights lambda * (score - max). The difference is taken first, so lambda 1e6 gives weight to the best alone
 * (shared among equals) instead of infinity; lambda 0 and equal scores give equal weights.
 */
export function logWeights(scores: ArrayLike<number>, lambda: number): Float64Array {
  const max = Array.from(scores).reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return Float64Array.from(scores, (score) => (lambda === 0 || score === max ? 0 : lambda * (score - max)));
}

/** Normalised weights of log weights; they sum to 1. */
export function normalise(logs: ArrayLike<number>): Float64Array {
  const total = logSumExp(logs);
  return Float64Array.from(logs, (log) => Math.exp(log - total));
}

/** Effective sample size (sum w)^2 / sum w^2 of weights in any scale: between 1 and their number. */
export function effectiveSampleSize(weights: ArrayLike<number>): number {
  let sum = 0;
  let squares = 0;
  for (let index = 0; index < weights.length; index++) {
    sum += weights[index]!;
    squares += weights[index]! ** 2;
  }
  return squares === 0 ? 0 : (sum * sum) / squares;
}

/**
 * Lambda at which the weights exp(lambda * score) have an effective sample size of `share` times their number, by
 * bisection (the size falls monotonically with lambda). Invariant to the unit of the reward and the difficulty of the
 * prompt. Equal scores give 0; a share below that of the tied best gives the largest lambda that still matters.
 */
export function lambdaForEss(scores: ArrayLike<number>, share: number): number {
  const values = Array.from(scores);
  const spread = Math.max(...values) - Math.min(...values);
  if (!(spread > 0)) return 0;
  const size = (lambda: number): number => effectiveSampleSize(normalise(logWeights(values, lambda)));
  const target = Math.max(1, share * values.length);
  let low = 0;
  let high = 1 / spread;
  const cap = 1e6 / spread;
  while (size(high) > target && high < cap) high *= 2;
  for (let iteration = 0; iteration < 60; iteration++) {
    const middle = (low + high) / 2;
    if (size(middle) > target) low = middle;
    else high = middle;
  }
  return high;
}

/** (score - mean) / standard deviation within the batch; zeros when all are equal. */
export function standardise(scores: ArrayLike<number>): Float64Array {
  const values = Array.from(scores);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  // A spread that is only rounding of the mean is no spread.
  const flat = !(deviation > 1e-12 * Math.abs(mean));
  return Float64Array.from(values, (value) => (flat ? 0 : (value - mean) / deviation));
}
