import type { Acceptance } from "../core/calibration.ts";
import { type Tree, wholeKey } from "./record-tree.ts";

export interface AcceptanceInput {
  /** Reward of the search, and whether it is to be high or low. */
  readonly reward: string;
  readonly direction: "higher" | "lower";
  /** Reward whose scores of at least `fullMarks` (after its direction) count as right. */
  readonly verifier: string;
  readonly fullMarks: number;
  readonly scales: number;
}

/** Images' worth of belief in a prompt's share of right images before any was seen. */
const leastBelief = 3;

/** Weight of the ridge penalty on the standardised slope, in observations: only bounds the slope of separable data. */
const ridge = 1;

/**
 * Fits how likely a finished image is right: a logistic regression of the verifier's verdict on the reward over all
 * candidates of all prompts, and the Beta distribution of the share of right images by moments.
 */
export function measureAcceptance(trees: readonly Tree[], input: AcceptanceInput): Acceptance {
  const last = input.scales - 1;
  const sign = input.direction === "lower" ? -1 : 1;
  const verdicts = trees.map((tree) =>
    tree.scores[wholeKey(input.verifier, last)]!.map((score) => Number(score >= input.fullMarks)),
  );
  const rewards = trees.flatMap((tree) =>
    tree.scores[wholeKey(input.reward, last)]!.map((score) => sign * score),
  );
  return { verifier: input.verifier, ...logistic(rewards, verdicts.flat()), prior: betaPrior(verdicts) };
}

/** Intercept and slope of a logistic regression, by Newton's method on the standardised predictor. */
export function logistic(
  values: readonly number[],
  labels: readonly number[],
): { intercept: number; slope: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation =
    Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
  let [level, tilt] = [0, 0];
  for (let iteration = 0; iteration < 50; iteration++) {
    // Gradient and curvature of the log likelihood; the tiny constant keeps labels that are all equal solvable.
    let [g0, g1, h00, h01, h11] = [0, -ridge * tilt, 1e-9, 0, ridge];
    values.forEach((value, row) => {
      const x = (value - mean) / deviation;
      const probability = 1 / (1 + Math.exp(-(level + tilt * x)));
      const weight = probability * (1 - probability);
      g0 += labels[row]! - probability;
      g1 += (labels[row]! - probability) * x;
      h00 += weight;
      h01 += weight * x;
      h11 += weight * x * x;
    });
    const determinant = h00 * h11 - h01 * h01;
    const [d0, d1] = [(h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant];
    [level, tilt] = [level + clamp(d0), tilt + clamp(d1)];
    if (Math.abs(d0) + Math.abs(d1) < 1e-10) break;
  }
  const slope = tilt / deviation;
  return { intercept: level - slope * mean, slope };
}

/** Bounds a Newton step, which is wild far from the optimum. */
function clamp(step: number): number {
  return Math.max(-4, Math.min(4, step));
}

/**
 * Beta distribution whose mean and variance over prompts fit the observed shares, the binomial noise of few images taken
 * out. Bounded: at most as many images' worth of belief as there are images, and at least three, because the
 * probabilities of one prompt's images err together: a prompt whose right images look doubtful must not be given up on
 * the word of the first two.
 */
function betaPrior(verdicts: readonly (readonly number[])[]): { right: number; wrong: number } {
  const images = verdicts[0]!.length;
  const shares = verdicts.map((list) => list.reduce((sum, value) => sum + value, 0) / list.length);
  const mean = shares.reduce((sum, value) => sum + value, 0) / shares.length;
  const between = shares.reduce((sum, value) => sum + (value - mean) ** 2, 0) / shares.length;
  const noise =
    shares.reduce((sum, value) => sum + value * (1 - value), 0) / shares.length / Math.max(1, images - 1);
  const variance = Math.max(between - noise, 1e-9);
  const strength = Math.min(images, Math.max(leastBelief, (mean * (1 - mean)) / variance - 1));
  return { right: strength * mean, wrong: strength * (1 - mean) };
}
