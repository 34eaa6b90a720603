import { type Cell, type Interval, intervals } from "../eval/statistics/intervals.ts";
import { holm, signFlipP } from "../eval/statistics/mcnemar.ts";
import { groupBy } from "./group-by.ts";
import { pairKey, type StudyCell } from "./study-plan.ts";

/** A paired difference, one of a family of comparisons that are read side by side. */
export interface Difference extends Interval {
  /** Prompts of which more images are right than on the other side, and fewer. */
  readonly better: number;
  readonly worse: number;
  /** Exact two-sided p-value: signs of the prompts' differences exchanged; by itself, and after Holm over the family. */
  readonly p: number;
  readonly pHolm: number;
  /** Interval that holds its level together with those of the whole family (Bonferroni). */
  readonly together: { readonly low: number; readonly high: number };
}

const level = 0.95;

/** Differences of one family: cells minus what their pairs came to. */
export function compareAll(
  family: readonly { readonly cells: readonly StudyCell[]; readonly other: ReadonlyMap<string, number> }[],
): Difference[] {
  const all = family.map(({ cells, other }) => {
    const difference = (cell: StudyCell): number => Number(cell.correct) - other.get(pairKey(cell))!;
    const values = cellsOf(cells, difference);
    const nets = [...groupBy(cells, ({ prompt }) => prompt).values()].map((group) =>
      group.reduce((sum, cell) => sum + difference(cell), 0),
    );
    const { low, high } = intervals(values, {
      range: [-1, 1],
      level: 1 - (1 - level) / family.length,
    }).overall;
    return {
      ...intervals(values, { range: [-1, 1], level }).overall,
      better: nets.filter((net) => net > 0).length,
      worse: nets.filter((net) => net < 0).length,
      p: signFlipP(nets),
      together: { low, high },
    };
  });
  const corrected = holm(all.map(({ p }) => p));
  return all.map((each, index) => ({ ...each, pHolm: corrected[index]! }));
}

/** Values by prompt, for an interval. */
export function cellsOf(cells: readonly StudyCell[], value: (cell: StudyCell) => number): Cell[] {
  return [...groupBy(cells, ({ prompt }) => prompt).values()].map((group) => ({
    stratum: group[0]!.tag,
    values: group.map(value),
  }));
}
