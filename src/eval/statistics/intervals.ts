import { studentQuantile } from "./normal.ts";

/** One prompt: the stratum (GenEval tag) it belongs to, and one value per replicate (image). */
export interface Cell {
  readonly stratum: string;
  readonly values: readonly number[];
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

export interface Intervals {
  /** Confidence level, such as 0.95. */
  readonly level: number;
  /** What is thought to vary: prompts and their replicates (a claim about new prompts), or replicates only. */
  readonly scope: "new-prompts" | "these-prompts";
  readonly method: "t" | "percentile";
  readonly byStratum: Readonly<Record<string, Interval>>;
  /** Mean of the strata, each as much as the others unless weighted. */
  readonly overall: Interval;
}

export interface IntervalOptions {
  readonly level?: number;
  /** What a value can be: 0 to 1 for verdicts, -1 to 1 for their differences. Intervals end there. */
  readonly range: readonly [low: number, high: number];
  /** Shares of the strata in the overall value, by name, which sum to 1; default: equal ones. */
  readonly shares?: ReadonlyMap<string, number> | undefined;
}

/**
 * Student intervals for new prompts: prompts are the units, stratified by task, the replicates of a prompt stay together.
 *
 * Two things keep the level where little was seen. A task's variance counts one prompt's worth of the variance over all
 * prompts, so that a task of one prompt has one too. And two prompts more that nobody has seen, as far off as the
 * farthest that was, are added to the variance (after Agresti and Min 2005): of four pairs that differ, four may fall on
 * one side by chance.
 *
 * @throws RangeError without cells, or for a cell without values
 */
export function intervals(
  cells: readonly Cell[],
  { level = 0.95, range, shares }: IntervalOptions,
): Intervals {
  const strata = [...byStratum(cells)].map(([name, prompts]) => ({ name, ...momentsOf(prompts) }));
  const pooled = pooledVariance(cells);
  const farthest = Math.max(...strata.map((stratum) => stratum.farthest));
  const bound = (estimate: number, parts: typeof strata): Interval => {
    const shareOf = (name: string): number =>
      parts.length === 1 ? 1 : (shares?.get(name) ?? 1 / parts.length);
    const variances = parts.map(
      ({ name, squares, prompts }) => (shareOf(name) ** 2 * (squares + pooled)) / prompts ** 2,
    );
    const variance = sum(variances);
    const freedom = variance ** 2 / sum(variances.map((part, index) => part ** 2 / parts[index]!.prompts));
    // What was never seen to differ may differ as far as values can.
    const step = farthest > 0 ? farthest : Math.max(range[1] - estimate, estimate - range[0]);
    const weight = Math.max(...parts.map(({ name, prompts }) => shareOf(name) / prompts));
    const known = variance > 0 ? freedom : cells.length;
    const quantile = studentQuantile((1 + level) / 2, Math.max(1, Math.min(known, cells.length - 1)));
    const half = quantile * Math.sqrt(variance + 2 * (step * weight) ** 2);
    return {
      estimate,
      low: Math.max(Math.min(range[0], estimate), estimate - half),
      high: Math.min(Math.max(range[1], estimate), estimate + half),
    };
  };
  return {
    level,
    scope: "new-prompts",
    method: "t",
    byStratum: Object.fromEntries(strata.map((stratum) => [stratum.name, bound(stratum.mean, [stratum])])),
    overall: bound(overallOf(strata, shares), strata),
  };
}

/** The strata's means as one: by their shares, or each as much as the others. */
export function overallOf(
  strata: readonly { readonly name: string; readonly mean: number }[],
  shares: ReadonlyMap<string, number> | undefined,
): number {
  if (!shares) return sum(strata.map(({ mean }) => mean)) / strata.length;
  return sum(strata.map(({ name, mean }) => shares.get(name)! * mean));
}

/** Prompts' values by stratum, in the order of their first appearance. @throws RangeError as `intervals` */
export function byStratum(cells: readonly Cell[]): Map<string, (readonly number[])[]> {
  if (cells.length === 0) throw new RangeError("an interval needs at least one prompt");
  const strata = new Map<string, (readonly number[])[]>();
  for (const { stratum, values } of cells) {
    if (values.length === 0) throw new RangeError(`a prompt of ${stratum} has no images`);
    const prompts = strata.get(stratum) ?? [];
    strata.set(stratum, prompts);
    prompts.push(values);
  }
  return strata;
}

/** Mean over all images of a stratum, and how far its prompts lie off it, each weighted by its number of images. */
function momentsOf(values: readonly (readonly number[])[]) {
  const images = sum(values.map((each) => each.length));
  const mean = sum(values.map(sum)) / images;
  const off = values.map((each) => ((sum(each) - each.length * mean) * values.length) / images);
  return {
    mean,
    prompts: values.length,
    squares: sum(off.map((each) => each ** 2)),
    farthest: Math.max(...values.map((each) => Math.abs(sum(each) / each.length - mean))),
  };
}

/** Variance of prompts over all strata, about their common mean; 0 for a single prompt. */
function pooledVariance(cells: readonly Cell[]): number {
  const means = cells.map(({ values }) => sum(values) / values.length);
  const mean = sum(means) / means.length;
  return sum(means.map((each) => (each - mean) ** 2)) / Math.max(1, means.length - 1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
