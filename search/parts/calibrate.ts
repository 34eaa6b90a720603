import type { Calibration, ScaleCalibration } from "../../src/core/calibration.ts";

/**
 * Belief about a candidate's final reward, relative to the mean of its prompt: precision-weighted over previews and
 * shrunk to the mean (docs/search.md, "Calibrated scores").
 */
export interface Belief {
  readonly mean: number;
  readonly variance: number;
}

/** The measured curve at a scale, if there is one. */
export function calibrationAt(calibration: Calibration | null, scale: number): ScaleCalibration | null {
  return calibration?.scales.find((row) => row.scale === scale) ?? null;
}

/** Variance of the final reward within prompts that a scale's regression implies. */
export function finalVariance({ residual, correlation }: ScaleCalibration): number {
  return residual ** 2 / Math.max(1 - correlation ** 2, 1e-6);
}

/**
 * Updates beliefs by one preview score. With final ~ N(0, t^2) and a preview that predicts it with slope b, correlation
 * c and residual s, the score is worth b * score / s^2 in precision-weighted evidence and c^2 / s^2 in precision. After
 * one preview the mean is the regression's prediction b * score; an uninformative preview (c = 0) changes nothing.
 *
 * @param scores  preview scores of the batch, higher is better; centred here, because only differences within a prompt
 *   are calibrated
 * @param beliefs from earlier previews, or null at first
 */
export function updateBeliefs(
  curve: ScaleCalibration,
  scores: ArrayLike<number>,
  beliefs: readonly Belief[] | null,
): Belief[] {
  const values = Array.from(scores);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const noise = Math.max(curve.residual ** 2, 1e-12);
  const prior: Belief = { mean: 0, variance: finalVariance(curve) };
  return values.map((value, row) => {
    const before = beliefs?.[row] ?? prior;
    const precision = 1 / before.variance + curve.correlation ** 2 / noise;
    const evidence = before.mean / before.variance + (curve.slope * (value - mean)) / noise;
    return { mean: evidence / precision, variance: 1 / precision };
  });
}
