import type { Acceptance } from "../core/strategy.ts";
import { type Tree, viewKey } from "./record-tree.ts";

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

/** Weight of the ridge penalty, in observations per standardised coefficient: only breaks ties of separable data. */
const ridge = 1;

/**
 * Fits how likely a finished image is right: a logistic regression of the verifier's verdict on the reward and the mean
 * guidance gap, over all candidates of all prompts, and the Beta distribution of the share of right images by moments.
 */
export function measureAcceptance(trees: readonly Tree[], input: AcceptanceInput): Acceptance {
  const last = input.scales - 1;
  const sign = input.direction === "lower" ? -1 : 1;
  const verdicts = trees.map((tree) =>
    tree.scores[viewKey(input.verifier, last, null)]!.map((score) => Number(score >= input.fullMarks)),
  );
  const rewards = trees.flatMap((tree) =>
    tree.scores[viewKey(input.reward, last, null)]!.map((score) => sign * score),
  );
  const gaps = trees.flatMap((tree) => meanGaps(tree));
  const [intercept, reward, guidanceGap] = logistic([rewards, gaps], verdicts.flat());
  return {
    verifier: input.verifier,
    intercept: intercept!,
    reward: reward!,
    guidanceGap: guidanceGap!,
    prior: betaPrior(verdicts),
  };
}

/** Guidance gap of each root, averaged over the stages. */
function meanGaps({ width, signals }: Tree): number[] {
  return Array.from(
    { length: width },
    (_, root) => signals.reduce((sum, { guidanceGap }) => sum + guidanceGap[root]!, 0) / signals.length,
  );
}

/** Intercept and coefficients by Newton's method on standardised columns, given back for the raw ones. */
export function logistic(columns: readonly (readonly number[])[], labels: readonly number[]): number[] {
  const scalings = columns.map(scalingOf);
  const design = labels.map((_, row) => [
    1,
    ...columns.map((column, index) => (column[row]! - scalings[index]!.mean) / scalings[index]!.deviation),
  ]);
  const size = columns.length + 1;
  let weights = new Array<number>(size).fill(0);
  for (let iteration = 0; iteration < 50; iteration++) {
    const gradient = weights.map((weight, index) => (index === 0 ? 0 : -ridge * weight));
    const curvature = weights.map((_, i) => weights.map((_, j) => (i === j && i > 0 ? ridge : 0)));
    design.forEach((row, at) => {
      const probability = 1 / (1 + Math.exp(-row.reduce((sum, value, i) => sum + value * weights[i]!, 0)));
      row.forEach((left, i) => {
        gradient[i]! += (labels[at]! - probability) * left;
        row.forEach((right, j) => {
          curvature[i]![j]! += probability * (1 - probability) * left * right;
        });
      });
    });
    curvature[0]![0]! += 1e-9;
    const step = solve(curvature, gradient);
    weights = weights.map((weight, index) => weight + step[index]!);
    if (step.every((value) => Math.abs(value) < 1e-10)) break;
  }
  const raw = weights.slice(1).map((weight, index) => weight / scalings[index]!.deviation);
  const shift = raw.reduce((sum, weight, index) => sum + weight * scalings[index]!.mean, 0);
  return [weights[0]! - shift, ...raw];
}

function scalingOf(column: readonly number[]): { mean: number; deviation: number } {
  const mean = column.reduce((sum, value) => sum + value, 0) / column.length;
  const variance = column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / column.length;
  // A column that never changes says nothing; its coefficient stays 0.
  return { mean, deviation: variance > 0 ? Math.sqrt(variance) : 1 };
}

/** Solution of a small positive definite system, by elimination. */
function solve(matrix: readonly (readonly number[])[], vector: readonly number[]): number[] {
  const rows = matrix.map((row, index) => [...row, vector[index]!]);
  rows.forEach((pivot, k) => {
    for (const row of rows.slice(k + 1)) {
      const factor = row[k]! / pivot[k]!;
      for (let column = k; column < row.length; column++) row[column]! -= factor * pivot[column]!;
    }
  });
  const solution = vector.map(() => 0);
  for (let k = rows.length - 1; k >= 0; k--) {
    const known = solution.reduce((sum, value, index) => sum + (index > k ? value * rows[k]![index]! : 0), 0);
    solution[k] = (rows[k]!.at(-1)! - known) / rows[k]![k]!;
  }
  return solution;
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
