import { lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Benchmark, BenchmarkItem } from "../core/benchmark.ts";
import type { Claim } from "../io/claim.ts";
import { type OutputOptions, openOutputFolder, parsedOrUndefined } from "../io/ownership.ts";
import { layout } from "./layout.ts";

/** Files that say how far an evaluation is. */
const CONTINUED = [
  ...[layout.evaluation, layout.results, `${layout.results}.partial`],
  ...[layout.timing, layout.allocation],
];

/** What decides which files an evaluation writes. */
export interface EvaluationExtent {
  readonly benchmark: Benchmark;
  readonly prompts: readonly BenchmarkItem[];
  readonly samples: number;
}

/**
 * Claims a folder for an evaluation while it runs. What an evaluation writes is known by its layout, so a folder where
 * one was begun is its own; elsewhere nothing may stand where it would write, or count as a part of it.
 *
 * @throws OUTPUT_UNWRITABLE naming what stands there, or who writes there
 */
export function claimEvaluation(dir: string, extent: EvaluationExtent, options: OutputOptions): Claim {
  return openOutputFolder(dir, options, () => ({
    isOurs: isEvaluation(join(dir, layout.evaluation)),
    inTheWay: inTheWay(dir, extent),
    continued: CONTINUED,
  }));
}

/** Files beside the images that tell what they are of: path and content. */
export function describingFiles({ benchmark, prompts, samples }: EvaluationExtent) {
  const rows = prompts.map((row) => `${JSON.stringify(row)}\n`).join("");
  return [[layout.prompts, rows] as const, ...benchmark.layout.files(prompts, samples)];
}

function inTheWay(dir: string, extent: EvaluationExtent): string[] {
  const { benchmark, prompts, samples } = extent;
  const isThere = (name: string): boolean =>
    lstatSync(join(dir, name), { throwIfNoEntry: false }) !== undefined;
  const others = describingFiles(extent).filter(
    ([name, content]) => isThere(name) && !holds(join(dir, name), content),
  );
  const made = prompts.flatMap((item, index) =>
    Array.from({ length: samples }, (_, sample) => [
      benchmark.layout.image(index, sample, item),
      layout.record(index, sample),
    ]).flat(),
  );
  return [
    // A search's folder stays one of a search.
    ...["run.json", ...CONTINUED].filter(isThere),
    ...others.map(([name]) => name),
    ...made.filter(isThere),
    // Judges would count what they hold.
    ...readdirSync(dir).filter((name) => /^\d+$/.test(name) && Number(name) >= prompts.length),
  ];
}

function holds(path: string, content: string): boolean {
  return (
    statSync(path, { throwIfNoEntry: false })?.isFile() === true && readFileSync(path, "utf8") === content
  );
}

function isEvaluation(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false;
  const record = parsedOrUndefined(readFileSync(path, "utf8")) as Record<string, unknown> | null | undefined;
  return typeof record?.["configHash"] === "string" && typeof record["promptsHash"] === "string";
}

/** Whether a file can be read again after it was written: no device, no pipe. */
export function isPlain(path: string): boolean {
  const entry = statSync(path, { throwIfNoEntry: false });
  return entry === undefined ? !lstatSync(path, { throwIfNoEntry: false }) : entry.isFile();
}
