/** Density of the standard normal. */
function density(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
}

/** Share of the standard normal below `x`: Simpson's rule from 0, to 1e-9 within four standard deviations. */
function below(x: number): number {
  const steps = 400;
  const step = x / steps;
  let sum = density(0) + density(x);
  for (let at = 1; at < steps; at++) sum += (at % 2 === 1 ? 4 : 2) * density(at * step);
  return 0.5 + (sum * step) / 3;
}

/** Where the share below is `share`, by bisection. */
function quantile(share: number): number {
  let [low, high] = [-4, 4];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (below(middle) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Values further out than this many standard deviations count as it. */
const EDGE = 3;

/**
 * Levels of a normal variable: the means of its `count` equally likely parts, the outermost cut at three standard
 * deviations (TokenBridge, which has 64 for a channel).
 */
export function normalLevels(count: number): number[] {
  const edges = Array.from({ length: count + 1 }, (_, at) =>
    at === 0 ? -EDGE : at === count ? EDGE : quantile(at / count),
  );
  return Array.from({ length: count }, (_, at) => {
    const [low, high] = [edges[at]!, edges[at + 1]!];
    return (density(low) - density(high)) / (below(high) - below(low));
  });
}

/** Which level is nearest to a value. */
export function levelOf(levels: readonly number[], value: number): number {
  let best = 0;
  for (let at = 1; at < levels.length; at++) {
    if (Math.abs(levels[at]! - value) < Math.abs(levels[best]! - value)) best = at;
  }
  return best;
}
