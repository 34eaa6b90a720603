import { bootstrap, type Cell, type Interval } from "../eval/bootstrap.ts";
import type { StudyCell, TreeRow } from "./run-study.ts";

/** One arm at one budget. Scores are the judge's, as unweighted means of the tasks. */
export interface TableRow {
  readonly arm: string;
  readonly units: number;
  /** Units really spent, on average. */
  readonly spent: number;
  readonly judged: Interval;
  /** Mean raw reward of the answers. */
  readonly reward: number;
  /** Paired difference to the reference at the same budget, and to a single sample. */
  readonly againstReference: Interval | null;
  readonly againstSingle: Interval;
  /** Headroom closed: (score - pass@1) / (pass@width - pass@1). */
  readonly headroom: number;
  readonly mode: "offline" | "live";
}

export interface StudyTable {
  readonly prompts: number;
  readonly replicates: number;
  readonly reference: string;
  readonly draws: number;
  /** Width of the trees, and pass@n of the model for n = 1, 2, 4, ... up to it. */
  readonly treeWidth: number;
  readonly passAt: readonly { readonly n: number; readonly score: number }[];
  readonly rows: readonly TableRow[];
}

/** Scores, paired differences and headroom, with two-level bootstrap intervals stratified by task. */
export function tabulate(
  trees: readonly TreeRow[],
  cells: readonly StudyCell[],
  options: { readonly reference: string; readonly draws: number },
): StudyTable {
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
  const groups = groupBy(cells, ({ arm, units }) => `${arm}@${units}`);
  const rows = [...groups.values()].map((group): TableRow => {
    const { arm, units, mode } = group[0]!;
    const reference = groups.get(`${options.reference}@${units}`);
    const other = new Map((reference ?? []).map((cell) => [pairKey(cell), Number(cell.correct)]));
    const interval = (value: (cell: StudyCell) => number): Interval =>
      bootstrap(cellsOf(group, value), { seed: "study", scope: "new-prompts", draws: options.draws }).overall;
    const judged = interval(({ correct }) => Number(correct));
    return {
      arm,
      units,
      mode,
      spent: mean(group.map(({ spent }) => spent)),
      judged,
      reward: mean(group.map(({ score }) => score)),
      againstReference:
        reference && arm !== options.reference
          ? interval((cell) => Number(cell.correct) - other.get(pairKey(cell))!)
          : null,
      againstSingle: interval((cell) => Number(cell.correct) - single.get(pairKey(cell))!),
      headroom: all > one ? (judged.estimate - one) / (all - one) : 0,
    };
  });
  return {
    prompts: new Set(trees.map(({ prompt }) => prompt)).size,
    replicates: new Set(trees.map(({ replicate }) => replicate)).size,
    reference: options.reference,
    draws: options.draws,
    treeWidth: width,
    passAt,
    rows,
  };
}

/** Probability that at least one of n images, drawn without replacement from those judged, is right. */
export function passShare(correct: readonly boolean[], n: number): number {
  const wrong = correct.filter((right) => !right).length;
  let none = 1;
  for (let i = 0; i < n; i++) none *= Math.max(0, wrong - i) / (correct.length - i);
  return 1 - none;
}

function stratifiedMean(trees: readonly TreeRow[], value: (row: TreeRow) => number): number {
  const strata = groupBy(trees, ({ tag }) => tag);
  return mean([...strata.values()].map((rows) => mean(rows.map(value))));
}

function cellsOf(cells: readonly StudyCell[], value: (cell: StudyCell) => number): Cell[] {
  return [...groupBy(cells, ({ prompt }) => prompt).values()].map((group) => ({
    stratum: group[0]!.tag,
    values: group.map(value),
  }));
}

function pairKey({ prompt, replicate }: { prompt: number; replicate: number }): string {
  return `${prompt}/${replicate}`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
