import type { Benchmark } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { type Comparison, compareResults, type TagDifference } from "../../eval/compare.ts";
import { geneval } from "../../eval/geneval/benchmark.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";
import { provenanceOf } from "../../eval/label.ts";
import { requireComplete, summarize } from "../../eval/summary.ts";
import { printJson, printResult, table } from "../output.ts";
import { openResults } from "./summarize.ts";

export interface CompareFlags {
  readonly allowPartial?: boolean;
  readonly draws?: string;
  readonly flips: string;
  readonly json?: boolean;
}

/** `geneval compare A B`, and `bench compare` for other benchmarks: B minus A. */
export async function comparePaths(
  pathA: string,
  pathB: string,
  flags: CompareFlags,
  benchmark: Benchmark = geneval,
): Promise<void> {
  const [a, b] = [await openResults(pathA), await openResults(pathB)];
  const labels = [provenanceOf(a.rows, benchmark.title), provenanceOf(b.rows, benchmark.title)];
  if (labels[0]!.judge !== labels[1]!.judge) {
    throw new TtsVarError(
      "EVAL_DATA",
      `the two were judged by different judges (${labels[0]!.label}; ${labels[1]!.label}); judge both with one of them`,
    );
  }
  if (!flags.allowPartial) {
    for (const [path, file] of [
      [pathA, a],
      [pathB, b],
    ] as const) {
      requireComplete(summarize(file.rows, { benchmark, tornTail: file.tornTail }).completeness, path);
    }
  }
  const comparison = compareResults(a.rows, b.rows, {
    benchmark,
    ...(flags.draws === undefined ? {} : { draws: parseCount(flags.draws, "--draws") }),
  });
  if (comparison.unpaired > 0 && !flags.allowPartial) {
    throw new TtsVarError(
      "EVAL_PARTIAL",
      `${comparison.unpaired} images have no partner in the other results; compare runs of the same prompts and samples, or pass --allow-partial`,
    );
  }
  const warnings = [...new Set(labels.flatMap((label) => label.warnings))];
  if (flags.json) {
    printJson({ schemaVersion: 1, a: pathA, b: pathB, label: labels[0]!.label, warnings, ...comparison });
  } else {
    printResult(describe(comparison, labels[0]!.label, warnings, flipCount(flags.flips)));
  }
}

function flipCount(text: string): number {
  return text === "all" ? Number.POSITIVE_INFINITY : text === "0" ? 0 : parseCount(text, "--flips");
}

const points = (value: number): string => `${value >= 0 ? "+" : ""}${(100 * value).toFixed(2)}`;
const span = ({ low, high }: { low: number; high: number }): string => `[${points(low)}, ${points(high)}]`;
const percent = (value: number): string => `${(100 * value).toFixed(2)}%`;

function describe(comparison: Comparison, label: string, warnings: readonly string[], flips: number): string {
  const { overall, byTag, intervals } = comparison;
  const rows: (Omit<TagDifference, "mcnemar"> & Partial<Pick<TagDifference, "mcnemar">> & { p?: number })[] =
    [...byTag, { tag: "overall", ...overall }];
  const columns = table(rows, [
    { title: "task", cell: ({ tag }) => tag },
    { title: "A", align: "right", cell: ({ a }) => percent(a) },
    { title: "B", align: "right", cell: ({ b }) => percent(b) },
    { title: "B-A (points)", align: "right", cell: ({ newPrompts }) => points(newPrompts.estimate) },
    { title: "new prompts", cell: ({ newPrompts }) => span(newPrompts) },
    { title: "these prompts", cell: ({ thesePrompts }) => span(thesePrompts) },
    {
      title: "only A : only B",
      align: "right",
      cell: ({ mcnemar }) => (mcnemar ? `${mcnemar.onlyA} : ${mcnemar.onlyB}` : ""),
    },
    {
      title: "p (exact, Holm)",
      align: "right",
      cell: ({ mcnemar, p }) => (mcnemar?.pHolm ?? p!).toPrecision(2),
    },
  ]);
  const { a, b } = comparison.flops;
  const shown = comparison.flips.slice(0, flips);
  const listed = shown.map(
    (flip) =>
      `  ${flip.flipped ? (flip.b > 0 ? "fail -> pass" : "pass -> fail") : "shift       "}  ${flip.a} -> ${flip.b} of ${flip.samples}  ${flip.prompt} (${flip.tag})`,
  );
  return [
    `${label}: ${comparison.pairs} image pairs of ${comparison.prompts} prompts`,
    "",
    columns,
    "",
    `${100 * intervals.level}% intervals: over new prompts (Student's t, prompts as units) and for these prompts (percentiles of ${intervals.draws} bootstrap draws)`,
    ...(a === null || b === null
      ? []
      : [`Cost: A ${a.toExponential(3)} FLOPs, B ${b.toExponential(3)} FLOPs (B/A ${(b / a).toFixed(3)})`]),
    ...warnings.map((warning) => `WARNING: ${warning}`),
    "",
    `Prompts that flipped: ${comparison.flips.filter(({ flipped }) => flipped).length}; that shifted: ${comparison.flips.filter(({ flipped }) => !flipped).length}`,
    ...listed,
    ...(comparison.flips.length > shown.length
      ? [`  and ${comparison.flips.length - shown.length} more (--flips all)`]
      : []),
  ].join("\n");
}
