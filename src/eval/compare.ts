import { type Benchmark, itemKey } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import type { ResultRow } from "./results.ts";
import { bootstrap } from "./statistics/bootstrap.ts";
import { type Cell, type Interval, intervals, overallOf } from "./statistics/intervals.ts";
import { holm, type McNemar, signFlipP } from "./statistics/mcnemar.ts";
import { scoreOf, scoreTags, tagShares } from "./summary.ts";

/** B minus A on the same prompts and samples. */
export interface TagDifference {
  readonly tag: string;
  readonly a: number;
  readonly b: number;
  /** Interval for new prompts of the same kind, and for exactly these prompts. */
  readonly newPrompts: Interval;
  readonly thesePrompts: Interval;
  readonly mcnemar: McNemar;
}

/** A prompt whose number of right images differs. */
export interface Flip {
  readonly prompt: string;
  readonly tag: string;
  readonly a: number;
  readonly b: number;
  readonly samples: number;
}

export interface Comparison {
  readonly prompts: number;
  readonly pairs: number;
  /** With the exact p-value of one test over all pairs. */
  readonly overall: Omit<TagDifference, "tag" | "mcnemar"> & { readonly p: number };
  readonly byTag: readonly TagDifference[];
  /** Prompts that pass only in one of the two (any sample right), then those that merely shift; largest change first. */
  readonly flips: readonly (Flip & { readonly flipped: boolean })[];
  readonly flops: { readonly a: number | null; readonly b: number | null };
  readonly intervals: { readonly draws: number; readonly level: number };
  /** Images that only one side has. */
  readonly unpaired: number;
}

/**
 * Paired comparison of two result files: images are paired by prompt and sample, which share their seed, so that what
 * is common to both cancels.
 *
 * @throws EVAL_DATA when no prompt occurs in both
 */
export function compareResults(
  rowsA: readonly ResultRow[],
  rowsB: readonly ResultRow[],
  options: { readonly benchmark: Benchmark; readonly seed?: number | string; readonly draws?: number },
): Comparison {
  const { tags, layout } = options.benchmark;
  const a = indexRows(rowsA, layout);
  const b = indexRows(rowsB, layout);
  const prompts = [...a.keys()].filter((key) => b.has(key));
  if (prompts.length === 0) {
    throw new TtsVarError(
      "EVAL_DATA",
      "the two results have no prompt in common; compare runs of the same prompt set",
    );
  }
  const pairs = prompts
    .map((key) => pairSamples(a.get(key)!, b.get(key)!))
    .filter(({ a: kept }) => kept.length > 0);
  const cells: Cell[] = pairs.map(({ a: left, b: right }) => ({
    stratum: left[0]!.tag,
    values: left.map((row, index) => scoreOf(right[index]!) - scoreOf(row)),
  }));
  const left = pairs.flatMap((pair) => pair.a);
  const right = pairs.flatMap((pair) => pair.b);
  const [scoresA, scoresB] = [scoreTags(left, tags), scoreTags(right, tags)];
  const shares = tagShares(options.benchmark, scoresA);
  const fresh = intervals(cells, { range: [-1, 1], shares });
  const fixed = bootstrap(cells, {
    ...{ seed: options.seed ?? 0, shares },
    ...(options.draws ? { draws: options.draws } : {}),
  });
  const discordant = scoresA.map(({ tag }) => countDiscordant(left, right, tag));
  const testOf = (tag?: string): number =>
    signFlipP(
      cells
        .filter(({ stratum }) => tag === undefined || stratum === tag)
        .map(({ values }) => values.reduce((sum, value) => sum + value, 0)),
    );
  const ps = scoresA.map(({ tag }) => testOf(tag));
  const adjusted = holm(ps);
  const meanOf = (scores: typeof scoresA): number =>
    overallOf(
      scores.map(({ tag, accuracy }) => ({ name: tag, mean: accuracy })),
      shares,
    );
  return {
    prompts: pairs.length,
    pairs: left.length,
    overall: {
      a: meanOf(scoresA),
      b: meanOf(scoresB),
      newPrompts: fresh.overall,
      thesePrompts: fixed.overall,
      p: testOf(),
    },
    byTag: scoresA.map(({ tag, accuracy }, index) => ({
      tag,
      a: accuracy,
      b: scoresB[index]!.accuracy,
      newPrompts: fresh.byStratum[tag]!,
      thesePrompts: fixed.byStratum[tag]!,
      mcnemar: {
        onlyA: discordant[index]![0],
        onlyB: discordant[index]![1],
        p: ps[index]!,
        pHolm: adjusted[index]!,
      },
    })),
    flips: findFlips(pairs),
    flops: { a: flopsOf(left), b: flopsOf(right) },
    intervals: { draws: fixed.draws, level: fresh.level },
    unpaired: rowsA.length + rowsB.length - 2 * left.length,
  };
}

type Samples = ReadonlyMap<string, ResultRow>;

/** Rows by item, then by sample: 0000.png and 00000.png are the same one, both occur. */
function indexRows(rows: readonly ResultRow[], layout: Benchmark["layout"]): Map<string, Samples> {
  const index = new Map<string, Map<string, ResultRow>>();
  for (const row of rows) {
    const key = itemKey(row.metadata);
    const samples = index.get(key) ?? new Map<string, ResultRow>();
    index.set(key, samples);
    samples.set(String(layout.place(row.filename).sample ?? row.filename), row);
  }
  return index;
}

interface Pairs {
  readonly a: readonly ResultRow[];
  readonly b: readonly ResultRow[];
}

function pairSamples(a: Samples, b: Samples): Pairs {
  const common = [...a.keys()].filter((name) => b.has(name));
  return { a: common.map((name) => a.get(name)!), b: common.map((name) => b.get(name)!) };
}

function countDiscordant(a: readonly ResultRow[], b: readonly ResultRow[], tag: string): [number, number] {
  let onlyA = 0;
  let onlyB = 0;
  a.forEach((row, index) => {
    if (row.tag !== tag || row.correct === b[index]!.correct) return;
    if (row.correct) onlyA++;
    else onlyB++;
  });
  return [onlyA, onlyB];
}

function findFlips(pairs: readonly Pairs[]): (Flip & { flipped: boolean })[] {
  const right = (rows: readonly ResultRow[]): number => rows.filter((row) => row.correct).length;
  return pairs
    .map(({ a, b }) => {
      const [hitsA, hitsB] = [right(a), right(b)];
      const { prompt, tag } = a[0]!;
      return { prompt, tag, a: hitsA, b: hitsB, samples: a.length, flipped: hitsA > 0 !== hitsB > 0 };
    })
    .filter((flip) => flip.a !== flip.b)
    .sort((x, y) => Number(y.flipped) - Number(x.flipped) || Math.abs(y.b - y.a) - Math.abs(x.b - x.a));
}

function flopsOf(rows: readonly ResultRow[]): number | null {
  if (rows.some((row) => row.flops === undefined)) return null;
  return rows.reduce((sum, row) => sum + row.flops!, 0);
}
