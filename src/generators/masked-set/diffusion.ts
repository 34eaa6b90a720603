/** Predicted clean tokens, which have unit variance, are clamped to this. */
const CLAMP = 4;
/** The process starts a little before all is noise, where the clean token could not be told at all. */
const START = 0.995;

/** Share of the variance that is signal at a time in [0, 1]: the cosine schedule. */
export function signalShare(time: number): number {
  const root = (at: number): number => Math.cos((Math.PI / 2) * ((at + 0.008) / 1.008));
  return (root(time) / root(0)) ** 2;
}

/** Times of so many steps, from nearly noise to clean. */
export function headTimes(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, step) => (START * (steps - step)) / steps);
}

/**
 * One ancestral step of a token's diffusion, in place.
 *
 * @param x      noisy values at time `from`
 * @param noise  the noise in them as predicted
 * @param fresh  standard normal values, scaled by the temperature; null: the mean
 */
export function denoise(
  x: Float64Array,
  noise: ArrayLike<number>,
  from: number,
  to: number,
  fresh: ((at: number) => number) | null,
): void {
  const now = signalShare(from);
  const then = to > 0 ? signalShare(to) : 1;
  const ratio = now / then;
  const toClean = (Math.sqrt(then) * (1 - ratio)) / (1 - now);
  const toNoisy = (Math.sqrt(ratio) * (1 - then)) / (1 - now);
  const spread = Math.sqrt(((1 - then) / (1 - now)) * (1 - ratio));
  for (let at = 0; at < x.length; at++) {
    const guess = (x[at]! - Math.sqrt(1 - now) * noise[at]!) / Math.sqrt(now);
    const clean = Math.min(CLAMP, Math.max(-CLAMP, guess));
    if (to <= 0) x[at] = clean;
    else x[at] = toClean * clean + toNoisy * x[at]! + (fresh ? spread * fresh(at) : 0);
  }
}
