import { rowOf, type Tensor } from "../core/tensor.ts";
import { tokenVectors } from "../core/tokens.ts";
import type { Interval } from "../eval/statistics/intervals.ts";
import { bootstrapPrompts } from "./bootstrap-prompts.ts";
import { groupBy } from "./group-by.ts";
import { tokensOf, wholeKey } from "./record-tree.ts";
import type { TreeRow } from "./study-plan.ts";

/** How well one view of unfinished candidates ranks them, within prompts. */
export interface PreviewRow {
  readonly scale: number;
  /**
   * Latent size, such as "4x4"; "full" for the whole latent, "draft" for the draft decoder's picture of it; with "ahead" for
   * the model's guess at the end; "signal" for what the logits give for nothing; "pairs" where two images are compared
   * instead: how far apart they are, with how much their rewards differ.
   */
  readonly size: string;
  /** What is looked at: the reward of the preview, a free signal, or the distance of tokens. */
  readonly view: string;
  /** Share of a unit that the look costs, with its score; absent in records of before it was kept. */
  readonly price?: number | undefined;
  /** Correlation with the reward of the finished image at full size. */
  readonly withReward: Interval;
  /** Correlation with the judge's verdict on it. */
  readonly withVerdict: Interval;
}

/**
 * What a view says of finished images, prompt by prompt: sums of squares of the view, of products, and of squares of what
 * it is compared with, all centred within trees (replicates of a prompt are added up). Correlations follow from them.
 */
export interface PreviewSums extends Pick<PreviewRow, "scale" | "size" | "view" | "price"> {
  readonly withReward: readonly Sums[];
  readonly withVerdict: readonly Sums[];
}

type Sums = readonly [xx: number, xy: number, yy: number];

/** Sums of all recorded views of the trees. */
export function sumPreviews(trees: readonly TreeRow[], primaryReward: string): PreviewSums[] {
  const scales = trees[0]!.tree.signals.length;
  const final = wholeKey(primaryReward, scales - 1);
  const prompts = [...groupBy(trees, ({ prompt }) => prompt).values()];
  const rewards = moments(prompts, ({ tree }) => tree.scores[final]!);
  const verdicts = moments(prompts, ({ correct }) => correct.map(Number));
  const rewardGaps = moments(prompts, ({ tree }) => gaps(tree.scores[final]!));
  const verdictGaps = moments(prompts, ({ correct }) => gaps(correct.map(Number)));
  const rows: PreviewSums[] = [];
  const add = (
    at: Pick<PreviewRow, "scale" | "size" | "view">,
    values: (row: TreeRow) => readonly number[],
    [reward, verdict] = [rewards, verdicts],
  ) => {
    const own = moments(prompts, values);
    rows.push({ ...at, withReward: sumsOf(own, reward), withVerdict: sumsOf(own, verdict) });
  };
  for (let scale = 0; scale < scales; scale++) {
    for (const key of Object.keys(trees[0]!.tree.scores)) {
      const [, name, at, size] = /^(.*)@(\d+)(?::(.+))?$/.exec(key)!;
      if (name !== primaryReward || Number(at) !== scale) continue;
      add({ scale, size: size ?? "full", view: "reward" }, ({ tree }) => tree.scores[key]!);
    }
    for (const signal of Object.keys(trees[0]!.tree.signals[scale]!.signals)) {
      const read = ({ tree }: TreeRow) => tree.signals[scale]!.signals[signal]!;
      if (trees.every((row) => isFlat(read(row)))) continue;
      add({ scale, size: "signal", view: signal }, read);
    }
    if (trees.every(({ tree }) => tree.tokens)) {
      const { kind } = trees[0]!.tree.tokens![scale]!;
      const apart = ({ tree }: TreeRow) =>
        distances(tokenVectors(kind, tokensOf(tree, scale, [...Array(tree.width).keys()])!));
      add({ scale, size: "pairs", view: "token distance" }, apart, [rewardGaps, verdictGaps]);
    }
  }
  return rows;
}

/**
 * Within-prompt correlations of all recorded views, with intervals by a bootstrap over prompts (replicates of a prompt
 * stay together). Prompts whose images are all right or all wrong say nothing of the verdict, and count as they are.
 */
export function tabulatePreviews(views: readonly PreviewSums[], draws: number): PreviewRow[] {
  const least = Math.min(draws, 1000);
  return views.map(({ scale, size, view, price, withReward, withVerdict }) => ({
    scale,
    size,
    view,
    ...(price === undefined ? {} : { price }),
    withReward: bootstrapPrompts(withReward, correlation, least),
    withVerdict: bootstrapPrompts(withVerdict, correlation, least),
  }));
}

/** Absolute differences of all pairs. */
function gaps(values: readonly number[]): number[] {
  return values.flatMap((one, index) => values.slice(index + 1).map((other) => Math.abs(one - other)));
}

/** Squared distances of all pairs of rows, in the order of `gaps`. */
function distances(tokens: Tensor): number[] {
  const rows = Array.from({ length: tokens.dims[0]! }, (_, row) => rowOf(tokens, row));
  return rows.flatMap((one, index) =>
    rows.slice(index + 1).map((other) => one.reduce((sum, value, at) => sum + (value - other[at]!) ** 2, 0)),
  );
}

/** Values of one prompt, centred within each of its trees. */
type Centred = readonly number[];

function moments(prompts: readonly TreeRow[][], values: (row: TreeRow) => readonly number[]): Centred[] {
  return prompts.map((rows) =>
    rows.flatMap((row) => {
      const list = values(row);
      const mean = list.reduce((sum, value) => sum + value, 0) / list.length;
      return list.map((value) => value - mean);
    }),
  );
}

/** Six digits are plenty, and make rows on disk short. */
function sumsOf(left: readonly Centred[], right: readonly Centred[]): Sums[] {
  const short = (value: number): number => Number(value.toPrecision(6));
  return left.map((x, index) => {
    const y = right[index]!;
    return [short(dot(x, x)), short(dot(x, y)), short(dot(y, y))];
  });
}

function correlation(prompts: readonly Sums[]): number {
  let [xx, xy, yy] = [0, 0, 0];
  for (const [a, b, c] of prompts) {
    xx += a;
    xy += b;
    yy += c;
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : 0;
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}

function isFlat(values: readonly number[]): boolean {
  return values.every((value) => value === values[0]);
}
