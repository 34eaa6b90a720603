import { bySkill } from "../core/atoms.ts";
import type { Benchmark, SetFigure } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { type Provenance, provenanceOf } from "./label.ts";
import { groupByPrompt, type ResultRow } from "./results.ts";
import { type Cell, type Intervals, intervals, overallOf } from "./statistics/intervals.ts";

/** What a set of images must be to be called complete. */
export interface Completeness {
  readonly images: number;
  readonly expectedImages: number;
  /** One line per thing that is missing; empty if complete. */
  readonly missing: readonly string[];
}

export interface TagScore {
  readonly tag: string;
  readonly correct: number;
  readonly images: number;
  readonly accuracy: number;
}

/** Cost of the images, where it was recorded. */
export interface EvaluationCost {
  readonly flops: number;
  readonly flopsPerImage: number;
  /** Time spent in searches, summed over workers; null if unknown. */
  readonly searchSeconds: number | null;
}

/** Mean probability of the questions of one kind, over all images. */
export interface SkillScore {
  readonly skill: string;
  readonly atoms: number;
  readonly mean: number;
}

/** GenEval's table and what it lacks: intervals, cost, provenance, completeness. */
export interface Summary extends Provenance {
  readonly images: number;
  readonly prompts: number;
  readonly correctImages: number;
  /** Prompts with at least one right image. */
  readonly correctPrompts: number;
  readonly byTag: readonly TagScore[];
  /** Only of rows that list their questions. */
  readonly bySkill?: readonly SkillScore[];
  /** Only of benchmarks that have such. */
  readonly figures?: readonly SetFigure[];
  /** Mean of the accuracies of the tags that occur, as the benchmark weighs them: see `overallBy`. */
  readonly overall: number;
  readonly overallBy: "tags" | "images" | "weights";
  readonly intervals: Intervals;
  readonly cost: EvaluationCost | null;
  readonly completeness: Completeness;
}

export interface SummaryOptions {
  readonly benchmark: Pick<Benchmark, "title" | "tags" | "layout" | "overall" | "figures">;
  readonly level?: number;
  /** Expected numbers, when they are known from elsewhere than the rows. */
  readonly expectedPrompts?: number;
  readonly expectedSamples?: number;
  readonly tornTail?: boolean;
  readonly searchSeconds?: number | null;
}

/**
 * The benchmark's summary with intervals for new prompts.
 *
 * @throws EVAL_PARTIAL without rows; EVAL_DATA when judges are mixed or an image has two verdicts
 */
export function summarize(rows: readonly ResultRow[], options: SummaryOptions): Summary {
  if (rows.length === 0)
    throw new TtsVarError("EVAL_PARTIAL", "no judged images: there is nothing to summarise");
  const { title, tags } = options.benchmark;
  const provenance = provenanceOf(rows, title);
  expectOneVerdictEach(rows);
  const prompts = groupByPrompt(rows);
  const byTag = scoreTags(rows, tags);
  const atoms = rows.flatMap((row) => (row.atoms ? [row.atoms] : []));
  const cells: Cell[] = [...prompts.values()].map((images) => ({
    stratum: images[0]!.tag,
    values: images.map(scoreOf),
  }));
  const shares = tagShares(options.benchmark, byTag);
  const figures = options.benchmark.figures?.(
    rows.flatMap(({ metadata, correct, atoms }) => (atoms ? [{ item: metadata, correct, atoms }] : [])),
  );
  const correctImages = rows.filter((row) => row.correct).length;
  return {
    ...provenance,
    images: rows.length,
    prompts: prompts.size,
    correctImages,
    correctPrompts: [...prompts.values()].filter((images) => images.some((row) => row.correct)).length,
    byTag,
    ...(atoms.length > 0
      ? { bySkill: [...bySkill(atoms)].map(([skill, found]) => ({ skill, ...found })) }
      : {}),
    ...(figures && atoms.length > 0 ? { figures } : {}),
    overall: overallOf(
      byTag.map(({ tag, accuracy }) => ({ name: tag, mean: accuracy })),
      shares,
    ),
    overallBy:
      typeof options.benchmark.overall === "object" ? "weights" : (options.benchmark.overall ?? "tags"),
    intervals: intervals(cells, {
      ...{ range: [0, 1], shares },
      ...(options.level === undefined ? {} : { level: options.level }),
    }),
    cost: costOf(rows, options.searchSeconds ?? null),
    completeness: completenessOf(rows, prompts, options),
  };
}

type Scored = Pick<ResultRow, "correct" | "score">;

/** What an image is worth: its score, or whether it is right. */
export function scoreOf({ correct, score }: Scored): number {
  return score ?? Number(correct);
}

/** Accuracy by tag: the benchmark's tags in their order, then any others. */
export function scoreTags(
  rows: readonly (Scored & Pick<ResultRow, "tag">)[],
  tags: readonly string[],
): TagScore[] {
  const names = new Set(rows.map((row) => row.tag));
  const ordered = [
    ...tags.filter((tag) => names.has(tag)),
    ...[...names].filter((tag) => !tags.includes(tag)),
  ];
  return ordered.map((tag) => {
    const images = rows.filter((row) => row.tag === tag);
    const correct = images.filter((row) => row.correct).length;
    const sum = images.reduce((total, row) => total + scoreOf(row), 0);
    return { tag, correct, images: images.length, accuracy: sum / images.length };
  });
}

/** Shares of tags in the overall score; undefined: equal ones. */
export function tagShares(
  { overall = "tags" }: Pick<Benchmark, "overall">,
  byTag: readonly TagScore[],
): ReadonlyMap<string, number> | undefined {
  if (overall === "tags") return undefined;
  const weights = byTag.map(({ tag, images }) => (overall === "images" ? images : (overall[tag] ?? 0)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (total > 0) return new Map(byTag.map(({ tag }, at) => [tag, weights[at]! / total]));
  throw new TtsVarError(
    "EVAL_DATA",
    `none of the tags ${byTag.map(({ tag }) => tag).join(", ")} has a weight`,
  );
}

/** A file that was appended to another one would count images twice. */
function expectOneVerdictEach(rows: readonly ResultRow[]): void {
  const first = new Map<string, number>();
  for (const [index, { filename }] of rows.entries()) {
    const before = first.get(filename);
    if (before !== undefined) {
      throw new TtsVarError(
        "EVAL_DATA",
        `the results hold two verdicts on ${filename} (rows ${before + 1} and ${index + 1}); judge the images anew`,
      );
    }
    first.set(filename, index);
  }
}

function costOf(rows: readonly ResultRow[], searchSeconds: number | null): EvaluationCost | null {
  if (rows.some((row) => row.flops === undefined)) return null;
  const flops = rows.reduce((sum, row) => sum + row.flops!, 0);
  return { flops, flopsPerImage: flops / rows.length, searchSeconds };
}

function completenessOf(
  rows: readonly ResultRow[],
  prompts: ReadonlyMap<string, readonly ResultRow[]>,
  options: SummaryOptions,
): Completeness {
  const missing: string[] = [];
  if (options.tornTail) missing.push("the last line of the results file is cut off");
  const samples =
    options.expectedSamples ?? Math.max(...[...prompts.values()].map((images) => images.length));
  const short = [...prompts.values()].filter((images) => images.length < samples);
  if (short.length > 0) {
    missing.push(
      `${short.length} prompts have fewer than ${samples} images, first "${short[0]![0]!.prompt}"`,
    );
  }
  const wantedPrompts =
    options.expectedPrompts ?? Math.max(prompts.size, highestIndex(rows, options.benchmark.layout) + 1);
  if (prompts.size < wantedPrompts)
    missing.push(`${wantedPrompts - prompts.size} of ${wantedPrompts} prompts have no images`);
  const declared = Math.max(0, ...rows.map((row) => row.expected ?? 0));
  const expectedImages = Math.max(wantedPrompts * samples, declared);
  if (missing.length === 0 && rows.length < expectedImages) {
    missing.push(`${expectedImages - rows.length} of ${expectedImages} images are missing`);
  }
  return { images: rows.length, expectedImages, missing };
}

/** Largest number of an item in the file names (`.../00042/samples/0001.png`); -1 if they have none. */
function highestIndex(rows: readonly ResultRow[], layout: Benchmark["layout"]): number {
  return rows.reduce((highest, { filename }) => Math.max(highest, layout.place(filename).index ?? -1), -1);
}

/**
 * Refuses incomplete sets: half a benchmark has no score.
 *
 * @param remedy how the rest is to be had
 * @throws EVAL_PARTIAL listing what is missing
 */
export function requireComplete(
  completeness: Completeness,
  what: string,
  remedy = "run the same command again to complete it",
): void {
  if (completeness.missing.length === 0) return;
  throw new TtsVarError(
    "EVAL_PARTIAL",
    `${what} is incomplete (${completeness.images} of ${completeness.expectedImages} images):\n` +
      completeness.missing.map((line) => `  ${line}\n`).join("") +
      `${remedy}, or pass --allow-partial`,
    { details: { ...completeness } },
  );
}
