import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Benchmark } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { readEvaluation } from "../../eval/evaluation-record.ts";
import { geneval } from "../../eval/geneval/benchmark.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";
import { layout } from "../../eval/layout.ts";
import { type ResultsFile, readResults } from "../../eval/results.ts";
import { requireComplete, summarize } from "../../eval/summary.ts";
import { formatSummary } from "../../eval/summary-table.ts";
import { readJsonl } from "../../io/jsonl.ts";
import { printJson, printResult } from "../output.ts";
import { describeAllocation, readAllocation } from "./allocation.ts";

export interface SummarizeFlags {
  readonly prompts?: string;
  readonly promptSeed?: string;
  readonly samples?: string;
  readonly allowPartial?: boolean;
  readonly json?: boolean;
}

/** Results of a folder (its results.jsonl) or of a file. */
export async function openResults(path: string): Promise<ResultsFile & { readonly dir: string | null }> {
  const entry = await stat(path).catch(() => null);
  if (entry === null)
    throw new TtsVarError(
      "EVAL_DATA",
      `${path} does not exist; give a results file or an evaluation's folder`,
    );
  if (!entry.isDirectory()) return { ...(await readResults(path)), dir: null };
  const file = join(path, layout.results);
  if ((await stat(file).catch(() => null)) === null) {
    throw new TtsVarError(
      "EVAL_PARTIAL",
      `${path} has no verdicts yet; finish it with the command that began it, or judge it: tts-var geneval judge (or bench judge) ${path} --out ${file}`,
    );
  }
  return { ...(await readResults(file)), dir: path };
}

/** `geneval summarize`, and `bench summarize` for other benchmarks. */
export async function summarizePath(
  path: string,
  flags: SummarizeFlags,
  benchmark: Benchmark = geneval,
): Promise<void> {
  const results = await openResults(path);
  await summarizeRows(results, {
    benchmark,
    dir: results.dir,
    json: flags.json ?? false,
    allowPartial: flags.allowPartial ?? false,
    ...(flags.prompts === undefined
      ? {}
      : { prompts: (await benchmark.items(flags.prompts, flags.promptSeed ?? "0")).length }),
    ...(flags.samples === undefined ? {} : { samples: parseCount(flags.samples, "--samples") }),
  });
}

interface SummarizeOptions {
  readonly benchmark: Benchmark;
  /** Evaluation folder, for what it says of completeness and time. */
  readonly dir: string | null;
  readonly json: boolean;
  readonly allowPartial: boolean;
  readonly prompts?: number;
  readonly samples?: number;
}

/** Prints the table. @throws EVAL_PARTIAL unless the set is complete or incomplete ones are allowed */
export async function summarizeRows(results: ResultsFile, options: SummarizeOptions): Promise<void> {
  const evaluation = options.dir === null ? null : await readEvaluation(options.dir);
  const prompts = options.prompts ?? evaluation?.prompts;
  const samples = options.samples ?? evaluation?.samples;
  const summary = summarize(results.rows, {
    benchmark: options.benchmark,
    tornTail: results.tornTail,
    ...(prompts === undefined ? {} : { expectedPrompts: prompts }),
    ...(samples === undefined ? {} : { expectedSamples: samples }),
    searchSeconds: options.dir === null ? null : await searchSeconds(options.dir),
  });
  if (!options.allowPartial) requireComplete(summary.completeness, "the evaluation");
  const allocation = evaluation === null ? null : await readAllocation(options.dir!, evaluation);
  if (options.json) {
    const partial = summary.completeness.missing.length > 0;
    printJson({ schemaVersion: 1, partial, ...summary, ...(allocation === null ? {} : { allocation }) });
  } else {
    printResult(
      [formatSummary(summary), ...(allocation === null ? [] : [describeAllocation(allocation)])].join("\n"),
    );
  }
}

/** Time of all searches together; null when the folder has not recorded it. */
async function searchSeconds(dir: string): Promise<number | null> {
  const timing = await readJsonl<{ seconds?: unknown } | null>(join(dir, layout.timing)).catch(() => null);
  if (timing === null) return null;
  const known = timing.rows.map((row) => row?.seconds).filter((value) => typeof value === "number");
  // Rows without a time are another program's.
  return known.length < timing.rows.length ? null : known.reduce((sum, value) => sum + value, 0);
}
