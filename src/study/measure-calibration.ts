import type { Calibration, ScaleCalibration } from "../core/calibration.ts";
import type { Shape, View } from "../core/generator.ts";
import { type Tree, viewKey, wholeKey } from "./record-tree.ts";

export interface CalibrationInput {
  readonly model: string;
  readonly reward: string;
  readonly rewardVersion: string;
  readonly direction: "higher" | "lower";
  readonly scales: number;
  readonly shape: Shape;
  /** View that the curve is measured in. */
  readonly preview: View;
}

/**
 * How well previews predict the final reward, by scale. Everything is centred within prompts: differences between
 * prompts would inflate the correlation, and no search can choose between prompts.
 */
export function measureCalibration(trees: readonly Tree[], input: CalibrationInput): Calibration {
  const sign = input.direction === "lower" ? -1 : 1;
  const last = input.scales - 1;
  const finals = trees.map((tree) => centred(tree.scores[wholeKey(input.reward, last)]!, sign));
  const degrees = trees.reduce((sum, { width }) => sum + width - 1, 0);
  const variance = dot(finals, finals) / degrees;
  const scales = Array.from({ length: input.scales }, (_, scale): ScaleCalibration => {
    const decided = scale === last ? 1 : decidedBy(trees, scale, variance, wholeKey(input.reward, last));
    if (scale === last) return { scale, correlation: 1, slope: 1, residual: 0, decided };
    const previews = trees.map((tree) =>
      centred(tree.scores[viewKey(input.reward, scale, input.preview, input.shape)]!, sign),
    );
    const [xx, xy, yy] = [dot(previews, previews), dot(previews, finals), dot(finals, finals)];
    const slope = xx > 0 ? xy / xx : 0;
    const correlation = xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
    const residual = Math.sqrt(Math.max(0, (yy - slope * xy) / Math.max(1, degrees - 1)));
    return { scale, correlation, slope, residual, decided };
  });
  const { model, reward, rewardVersion } = input;
  return { schemaVersion: 1, model, reward, rewardVersion, scales };
}

/** One minus the variance between two continuations from the scale over the whole variance within prompts. */
function decidedBy(trees: readonly Tree[], scale: number, variance: number, finalView: string): number {
  let sum = 0;
  let pairs = 0;
  for (const tree of trees) {
    tree.copies[scale]?.forEach((copy, root) => {
      sum += (copy - tree.scores[finalView]![root]!) ** 2 / 2;
      pairs += 1;
    });
  }
  if (pairs === 0 || variance === 0) return 0;
  return Math.min(1, Math.max(0, 1 - sum / pairs / variance));
}

function centred(values: readonly number[], sign: number): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => sign * (value - mean));
}

function dot(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number {
  return a.reduce((sum, row, i) => sum + row.reduce((part, value, j) => part + value * b[i]![j]!, 0), 0);
}
