import { type Interval, intervals } from "../eval/statistics/intervals.ts";
import type { ControlRule } from "./controls.ts";
import { type DecidedRow, tabulateDecided } from "./decided-table.ts";
import { cellsOf, compareAll, type Difference } from "./differences.ts";
import { groupBy } from "./group-by.ts";
import { type PreviewRow, tabulatePreviews } from "./preview-table.ts";
import { pairKey } from "./study-plan.ts";
import type { JudgedTree, StudyRecord } from "./study-record.ts";

/** One arm at one budget. Scores are the judge's, as unweighted means of the tasks. */
export interface TableRow {
  readonly arm: string;
  readonly units: number;
  /** Units really spent, on average. */
  readonly spent: number;
  readonly judged: Interval;
  /** Share judged correct by task. */
  readonly byTag: Readonly<Record<string, number>>;
  /** Mean raw reward of the answers. */
  readonly reward: number;
  /** Paired difference to the reference at the same budget, and to a single sample: a family of tests each. */
  readonly againstReference: Difference | null;
  readonly againstSingle: Difference;
  /**
   * Headroom closed: (score - pass@1) / (pass@width - pass@1), 0 for answers that fare as the single sample does; null
   * when the trees are too narrow to know.
   */
  readonly headroom: number | null;
  readonly mode: "offline" | "live";
}

/** A paired difference between two arms at any budgets. */
export interface Contrast {
  readonly of: CellName;
  readonly against: CellName;
  readonly difference: Difference;
  /** Units that the first spends in units of the second's. */
  readonly costRatio: number;
}

/** A control against what it must equal, over all images of the trees: pass@1 if it chooses blindly, or pass@n. */
export interface Control extends CellName {
  readonly judged: number;
  readonly passAt: number;
  readonly expected: number;
  readonly difference: Interval;
}

interface CellName {
  readonly arm: string;
  readonly units: number;
}

export interface StudyTable {
  readonly prompts: number;
  readonly replicates: number;
  readonly reference: string;
  /** Bootstrap draws behind the intervals of correlations. */
  readonly draws: number;
  /** Width of the trees, and pass@n of the study's own proposal for n = 1, 2, 4, ... up to it. */
  readonly treeWidth: number;
  readonly passAt: readonly { readonly n: number; readonly score: number }[];
  readonly rows: readonly TableRow[];
  readonly contrasts: readonly Contrast[];
  readonly controls: readonly Control[];
  /** How well previews rank, by scale and size. */
  readonly previews: readonly PreviewRow[];
  /** How much of the reward is decided, by scale; empty where trees have no second ends. */
  readonly decided: readonly DecidedRow[];
  /** Share of a unit that a candidate has cost after each stage; null in studies of before it was kept. */
  readonly spentAfter: readonly number[] | null;
}

export interface TableOptions {
  readonly reference: string;
  readonly draws: number;
  readonly contrasts?: readonly { readonly of: CellName; readonly against: CellName }[];
  /** Control arms by name. */
  readonly controls?: ReadonlyMap<string, ControlRule>;
}

/** Trees narrower than this say little about what the best choice could reach. */
const leastWidth = 8;

/** Scores, paired differences and headroom, with intervals for new prompts, stratified by task, and exact tests. */
export function tabulate(
  { trees, cells, previews, decided, spentAfter }: StudyRecord,
  options: TableOptions,
): StudyTable {
  const { reference, draws } = options;
  const width = trees[0]!.correct.length;
  const sizes: number[] = [];
  for (let n = 1; n < width; n *= 2) sizes.push(n);
  sizes.push(width);
  const passAt = sizes.map((n) => ({
    n,
    score: stratifiedMean(trees, ({ correct }) => passShare(correct, n)),
  }));
  const [one, all] = [passAt[0]!.score, passAt.at(-1)!.score];
  // The first root is what a single sample would be: the pair of every cell of its prompt and replicate.
  const single = new Map(trees.map((row) => [pairKey(row), Number(row.correct[0])]));
  const groups = groupBy(cells, nameOf);
  const verdicts = new Map(
    [...groups].map(([name, group]) => [
      name,
      new Map(group.map((cell) => [pairKey(cell), Number(cell.correct)])),
    ]),
  );
  const named = [...groups];
  const toSingle = compareAll(named.map(([, group]) => ({ cells: group, other: single })));
  const comparable = named.filter(([, [cell]]) => {
    const { arm, units } = cell!;
    return arm !== reference && verdicts.has(nameOf({ arm: reference, units }));
  });
  const referred = compareAll(
    comparable.map(([, group]) => ({
      cells: group,
      other: verdicts.get(nameOf({ arm: reference, units: group[0]!.units }))!,
    })),
  );
  const againstReference = new Map(comparable.map(([name], index) => [name, referred[index]!]));

  const rows = named.map(([name, group], index): TableRow => {
    const { arm, units, mode } = group[0]!;
    const { overall: judged, byStratum } = intervals(
      cellsOf(group, ({ correct }) => Number(correct)),
      { range: [0, 1] },
    );
    const againstSingle = toSingle[index]!;
    const same = againstSingle.better + againstSingle.worse === 0;
    return {
      arm,
      units,
      mode,
      spent: mean(group.map(({ spent }) => spent)),
      judged,
      byTag: Object.fromEntries(Object.entries(byStratum).map(([tag, { estimate }]) => [tag, estimate])),
      reward: mean(group.map(({ score }) => score)),
      againstReference: againstReference.get(name) ?? null,
      againstSingle,
      headroom: width < leastWidth || all <= one ? null : same ? 0 : (judged.estimate - one) / (all - one),
    };
  });
  const contrasts = options.contrasts ?? [];
  const contrasted = compareAll(
    contrasts.map(({ of, against }) => ({
      cells: groups.get(nameOf(of))!,
      other: verdicts.get(nameOf(against))!,
    })),
  );
  const spentBy = (name: CellName): number => rows.find((row) => nameOf(row) === nameOf(name))!.spent;
  return {
    prompts: new Set(trees.map(({ prompt }) => prompt)).size,
    replicates: new Set(trees.map(({ replicate }) => replicate)).size,
    reference,
    draws,
    treeWidth: width,
    passAt,
    rows,
    contrasts: contrasts.map(({ of, against }, index) => ({
      of,
      against,
      difference: contrasted[index]!,
      costRatio: spentBy(of) / spentBy(against),
    })),
    controls: rows.flatMap(({ arm, units, judged }) => {
      const rule = options.controls?.get(arm);
      if (!rule) return [];
      const passAt = rule(units);
      const chance = new Map(trees.map((row) => [pairKey(row), passShare(row.correct, passAt)]));
      return {
        arm,
        units,
        judged: judged.estimate,
        passAt,
        expected: stratifiedMean(trees, (row) => chance.get(pairKey(row))!),
        difference: intervals(
          cellsOf(
            groups.get(nameOf({ arm, units }))!,
            (cell) => Number(cell.correct) - chance.get(pairKey(cell))!,
          ),
          { range: [-1, 1] },
        ).overall,
      };
    }),
    previews: tabulatePreviews(previews, draws),
    decided: tabulateDecided(decided, draws),
    spentAfter: spentAfter ?? null,
  };
}

/** Probability that at least one of n images, drawn without replacement from those judged, is right. */
export function passShare(correct: readonly boolean[], n: number): number {
  const wrong = correct.filter((right) => !right).length;
  let none = 1;
  for (let i = 0; i < n; i++) none *= Math.max(0, wrong - i) / (correct.length - i);
  return 1 - none;
}

function nameOf({ arm, units }: CellName): string {
  return `${arm}@${units}`;
}

function stratifiedMean(trees: readonly JudgedTree[], value: (row: JudgedTree) => number): number {
  const strata = groupBy(trees, ({ tag }) => tag);
  return mean([...strata.values()].map((rows) => mean(rows.map(value))));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
