import type { Calibration, ScaleCalibration } from "../core/calibration.ts";
import type { Shape, View } from "../core/generator.ts";
import { createRng } from "../core/rng.ts";
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

/** Bounds of a 95 % interval for new prompts. */
export type Bounds = readonly [low: number, high: number];

/** How sure a scale's figures are. */
export interface ScaleIntervals {
  readonly scale: number;
  readonly correlation: Bounds;
  readonly decided: Bounds;
}

/** Sums over the candidates of one prompt, all centred within it, that a scale's figures are made of. */
interface PromptSums {
  readonly xx: number;
  readonly xy: number;
  readonly yy: number;
  /** Candidates less one. */
  readonly freedom: number;
  /** Half the squared differences between two continuations, and their number. */
  readonly apart: number;
  readonly pairs: number;
}

/**
 * How well previews predict the final reward, by scale. Everything is centred within prompts: differences between
 * prompts would inflate the correlation, and no search can choose between prompts.
 */
export function measureCalibration(trees: readonly Tree[], input: CalibrationInput): Calibration {
  const { model, reward, rewardVersion, scales } = input;
  return {
    schemaVersion: 1,
    model,
    reward,
    rewardVersion,
    scales: Array.from({ length: scales }, (_, scale) =>
      figuresOf(promptSums(trees, scale, input), scale, input),
    ),
  };
}

/** Intervals of a calibration's figures, by a bootstrap over prompts. */
export function calibrationIntervals(
  trees: readonly Tree[],
  input: CalibrationInput,
  draws = 1000,
): ScaleIntervals[] {
  return Array.from({ length: input.scales }, (_, scale) => {
    const sums = promptSums(trees, scale, input);
    const rng = createRng("calibration", "intervals");
    const uniforms = new Float64Array(sums.length);
    const drawn = Array.from({ length: draws }, (_, draw) => {
      rng.stream("stats", "prompts", draw).fill(uniforms);
      return figuresOf(
        Array.from(uniforms, (uniform) => sums[Math.floor(uniform * sums.length)]!),
        scale,
        input,
      );
    });
    const bounds = (figure: "correlation" | "decided"): Bounds => {
      const sorted = drawn.map((each) => each[figure]).sort((a, b) => a - b);
      return [sorted[Math.floor(0.025 * draws)]!, sorted[Math.floor(0.975 * draws)]!];
    };
    return { scale, correlation: bounds("correlation"), decided: bounds("decided") };
  });
}

function promptSums(
  trees: readonly Tree[],
  scale: number,
  { reward, direction, scales, preview, shape }: CalibrationInput,
): PromptSums[] {
  const sign = direction === "lower" ? -1 : 1;
  const last = scales - 1;
  return trees.map((tree) => {
    const raw = tree.scores[wholeKey(reward, last)]!;
    const final = centred(raw, sign);
    const seen = scale === last ? final : centred(tree.scores[viewKey(reward, scale, preview, shape)]!, sign);
    const copies = tree.copies[scale] ?? [];
    return {
      xx: dot(seen, seen),
      xy: dot(seen, final),
      yy: dot(final, final),
      freedom: tree.width - 1,
      apart: copies.reduce((sum, copy, root) => sum + (copy - raw[root]!) ** 2 / 2, 0),
      pairs: copies.length,
    };
  });
}

function figuresOf(
  prompts: readonly PromptSums[],
  scale: number,
  { scales }: CalibrationInput,
): ScaleCalibration {
  if (scale === scales - 1) return { scale, correlation: 1, slope: 1, residual: 0, decided: 1 };
  const total = (of: (sums: PromptSums) => number): number =>
    prompts.reduce((sum, each) => sum + of(each), 0);
  const [xx, xy, yy] = [total((sums) => sums.xx), total((sums) => sums.xy), total((sums) => sums.yy)];
  const freedom = total((sums) => sums.freedom);
  const slope = xx > 0 ? xy / xx : 0;
  const correlation = xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
  const residual = Math.sqrt(Math.max(0, (yy - slope * xy) / Math.max(1, freedom - 1)));
  // One minus the variance between two continuations from the scale over the whole variance within prompts.
  const [apart, pairs, variance] = [total((sums) => sums.apart), total((sums) => sums.pairs), yy / freedom];
  const decided = pairs === 0 || variance === 0 ? 0 : Math.min(1, Math.max(0, 1 - apart / pairs / variance));
  return { scale, correlation, slope, residual, decided };
}

function centred(values: readonly number[], sign: number): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.map((value) => sign * (value - mean));
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
