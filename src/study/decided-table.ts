import type { Interval } from "../eval/statistics/intervals.ts";
import { bootstrapPrompts } from "./bootstrap-prompts.ts";
import { groupBy } from "./group-by.ts";
import { wholeKey } from "./record-tree.ts";
import type { TreeRow } from "./study-plan.ts";

/** How much of the final reward is decided after a scale, within prompts. */
export interface DecidedRow {
  readonly scale: number;
  /**
   * One minus the variance between two ends of one beginning over the whole variance within prompts: 0 where beginnings say
   * nothing, 1 where nothing is open any more. Below 0 by chance only.
   */
  readonly decided: Interval;
}

/** What that is made of, prompt by prompt. */
export interface DecidedSums {
  readonly scale: number;
  readonly ends: readonly Ends[];
}

/** Half the squared differences of two ends and their number; squares within the prompt and their degrees of freedom. */
type Ends = readonly [apart: number, pairs: number, squares: number, freedom: number];

/** Sums of all scales after which second ends were drawn. */
export function sumDecided(trees: readonly TreeRow[], primaryReward: string): DecidedSums[] {
  const scales = trees[0]!.tree.signals.length;
  const final = wholeKey(primaryReward, scales - 1);
  const prompts = [...groupBy(trees, ({ prompt }) => prompt).values()];
  const drawn = Array.from({ length: scales }, (_, scale) => scale).filter((scale) =>
    trees.every(({ tree }) => (tree.copies[scale] ?? []).length > 0),
  );
  return drawn.map((scale) => ({
    scale,
    ends: prompts.map((rows): Ends => {
      const sums = rows.map(({ tree }) => {
        const scores = tree.scores[final]!;
        const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
        return {
          apart: tree.copies[scale]!.reduce((sum, end, root) => sum + (end - scores[root]!) ** 2 / 2, 0),
          pairs: tree.copies[scale]!.length,
          squares: scores.reduce((sum, score) => sum + (score - mean) ** 2, 0),
          freedom: scores.length - 1,
        };
      });
      const total = (of: keyof (typeof sums)[number]): number =>
        Number(sums.reduce((sum, each) => sum + each[of], 0).toPrecision(6));
      return [total("apart"), total("pairs"), total("squares"), total("freedom")];
    }),
  }));
}

/** Shares decided by scale, with intervals for new prompts; the last scale decides all. */
export function tabulateDecided(sums: readonly DecidedSums[], draws: number): DecidedRow[] {
  return sums.map(({ scale, ends }) => ({
    scale,
    decided: bootstrapPrompts(ends, shareDecided, Math.min(draws, 1000)),
  }));
}

function shareDecided(prompts: readonly Ends[]): number {
  let [apart, pairs, squares, freedom] = [0, 0, 0, 0];
  for (const [a, n, b, m] of prompts) {
    apart += a;
    pairs += n;
    squares += b;
    freedom += m;
  }
  const variance = squares / freedom;
  return pairs > 0 && variance > 0 ? 1 - apart / pairs / variance : 0;
}
