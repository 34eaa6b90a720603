import { TtsVarError } from "../core/errors.ts";
import type { AdaptiveSettings } from "./evaluation-record.ts";
import { normalCdf } from "./statistics/normal.ts";

/** Scores of an image's rounds so far, higher is better. Images of one prompt share a distribution of scores. */
export interface ImageRounds {
  readonly promptIndex: number;
  readonly scores: readonly number[];
}

/**
 * Which images get the next round, by expected improvement: the scores of a prompt's rounds are taken as normal, their
 * mean and variance shrunk towards those of the whole set, and the images whose best score is most likely to be beaten,
 * and by most, come first (Weitzman's rule with equal costs). Easy prompts stop after one round, hopeless ones get no
 * more than they have. Depends on finished waves only, so the order within a wave cannot change it.
 *
 * @returns indices into `images`, ascending; empty when nothing is left to do
 * @throws BUDGET_INFEASIBLE when the total does not allow one round per image
 */
export function nextWave(images: readonly ImageRounds[], settings: AdaptiveSettings): number[] {
  const started = images.reduce((sum, image) => sum + image.scores.length, 0);
  const affordable = affordableRounds(settings) - started;
  if (started === 0) {
    if (affordable < images.length) {
      throw new TtsVarError(
        "BUDGET_INFEASIBLE",
        `${settings.totalUnits} units do not give one round of ${settings.roundUnits} units to each of ${images.length} images; raise --budget or lower --round`,
      );
    }
    return images.map((_, index) => index);
  }
  const gains = expectedGains(images, settings.stopAt);
  const open = gains.map((gain, index) => ({ gain, index })).filter(({ gain }) => gain > 0);
  // A quarter of the set per wave: decisions stay fresh, and workers stay busy.
  const size = Math.min(affordable, Math.ceil(images.length / 4), open.length);
  open.sort((a, b) => b.gain - a.gain || a.index - b.index);
  return open
    .slice(0, size)
    .map(({ index }) => index)
    .sort((a, b) => a - b);
}

/** Rounds that the total allows for all images together. */
export function affordableRounds({ totalUnits, roundUnits }: AdaptiveSettings): number {
  return Math.floor(totalUnits / roundUnits + 1e-9);
}

// Weights of the whole set's mean and variance against a prompt's own, in rounds.
const meanWeight = 1;
const varianceWeight = 2;

function expectedGains(images: readonly ImageRounds[], stopAt: number | null): number[] {
  const byPrompt = new Map<number, number[]>();
  for (const { promptIndex, scores } of images) {
    byPrompt.set(promptIndex, [...(byPrompt.get(promptIndex) ?? []), ...scores]);
  }
  const all = [...byPrompt.values()];
  const grandMean = meanOf(all.flat());
  const squares = all.map((scores) => sumOfSquares(scores));
  const freedom = all.reduce((sum, scores) => sum + scores.length - 1, 0);
  // With one score per prompt there is no spread within prompts to be seen; that between prompts stands in.
  const pooled =
    freedom > 0
      ? squares.reduce((sum, value) => sum + value, 0) / freedom
      : sumOfSquares(all.flat()) / all.length;
  const models = new Map(
    [...byPrompt].map(([prompt, scores]) => {
      const n = scores.length;
      const mean = (n * meanOf(scores) + meanWeight * grandMean) / (n + meanWeight);
      const variance = (sumOfSquares(scores) + varianceWeight * pooled) / (n - 1 + varianceWeight);
      return [prompt, { mean, sd: Math.sqrt(variance * (1 + 1 / (n + meanWeight))) }] as const;
    }),
  );
  return images.map(({ promptIndex, scores }) => {
    const best = Math.max(...scores);
    const { mean, sd } = models.get(promptIndex)!;
    if (stopAt === null) return excess(mean, sd, best);
    return best >= stopAt ? 0 : excess(mean, sd, best) - excess(mean, sd, stopAt);
  });
}

/** E[(X - limit)+] of a normal X. */
function excess(mean: number, sd: number, limit: number): number {
  if (sd === 0) return Math.max(mean - limit, 0);
  const z = (mean - limit) / sd;
  const density = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  return Math.max(sd * (z * normalCdf(z) + density), 0);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function sumOfSquares(values: readonly number[]): number {
  const mean = meanOf(values);
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
}
