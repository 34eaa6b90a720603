import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import type { Benchmark, BenchmarkItem, Judge } from "../core/benchmark.ts";
import { temporaryName, writeFileAtomic } from "../io/atomic.ts";
import { JsonlWriter } from "../io/jsonl.ts";
import { decodePng, encodePng } from "../io/png.ts";
import type { Backend } from "../queue/backend.ts";
import { affordableRounds } from "./adaptive.ts";
import { runAdaptive } from "./adaptive-run.ts";
import { beginEvaluation, type EvaluationRecord } from "./evaluation-record.ts";
import { gridOf } from "./grid.ts";
import { openImageSet } from "./image-set.ts";
import { judgeFolder, VerdictLog } from "./judge-folder.ts";
import { layout } from "./layout.ts";
import { LiveJudge } from "./live-judge.ts";
import type { ResultRow } from "./results.ts";
import { runJobs } from "./run-jobs.ts";
import { type SampleJob, type SampleRecord, type SampleResult, sampleSeed } from "./sample-job.ts";
import { SampleStore } from "./sample-store.ts";

/** Where an evaluation stands. */
export interface EvaluationProgress {
  /** What is counted: images, or the rounds of an adaptive evaluation, of which `total` is the largest number. */
  readonly unit: "images" | "rounds";
  readonly done: number;
  readonly total: number;
  /** Searches done by this program, without those found done; what a rate can be computed from. */
  readonly performed: number;
  /** Verdicts so far, in the order in which they were made. */
  readonly judged: readonly ResultRow[];
}

export interface EvaluationInput {
  readonly benchmark: Benchmark;
  readonly dir: string;
  readonly record: EvaluationRecord;
  readonly prompts: readonly BenchmarkItem[];
  readonly backend: Backend<SampleJob, SampleResult>;
  /** Null: make images only. */
  readonly judge: Judge | null;
  /** Whether a lower reward is a better one, and the primary reward's name. */
  readonly reward: { readonly name: string; readonly direction: "higher" | "lower" };
  readonly signal: AbortSignal;
  onProgress?(progress: EvaluationProgress): void;
}

/**
 * Makes (and judges) all images of an evaluation in its benchmark's folder layout. What is already there is kept, so that the
 * same call completes an interrupted evaluation; the folder in the end is the same as that of an undisturbed one.
 *
 * @returns the verdicts, sorted by prompt and sample; null without a judge
 */
export async function runEvaluation(input: EvaluationInput): Promise<ResultRow[] | null> {
  const { benchmark, dir, record, prompts, judge, signal } = input;
  await beginEvaluation(benchmark, dir, record, prompts);
  using timing = new JsonlWriter(join(dir, layout.timing));
  const judged: ResultRow[] = [];
  const images = prompts.length * record.samples;
  const { adaptive } = record;
  const count =
    adaptive === null
      ? ({ unit: "images", total: images } as const)
      : ({ unit: "rounds", total: affordableRounds(adaptive) } as const);
  let done = 0;
  let performed = 0;
  const report = (): void => input.onProgress?.({ ...count, done, performed, judged });

  const out = join(dir, layout.results);
  const facts = { expected: images, rewardModel: record.rewardModel };
  const log = judge === null ? null : await VerdictLog.open({ benchmark, judge, dir, facts, out });
  const live =
    log === null
      ? null
      : new LiveJudge(log, (rows) => {
          judged.push(...rows);
          report();
        });
  const noteSearch = (job: SampleJob, seconds: number | null): void => {
    done++;
    if (seconds !== null) {
      performed++;
      const { promptIndex, sample, round } = job;
      timing.write({ promptIndex, sample, ...(round === null ? {} : { round }), seconds });
    }
    report();
  };
  const judgeLive = async ({ promptIndex, sample, image, item }: SampleJob): Promise<void> =>
    live?.add({ index: promptIndex, sample, filename: image, item });

  try {
    const jobs = jobsOf(input);
    const store = new SampleStore(dir);
    if (adaptive === null) {
      await runJobs({
        jobs,
        backend: input.backend,
        store,
        signal,
        async onDone(job, _record: SampleRecord, seconds) {
          noteSearch(job, seconds);
          await judgeLive(job);
        },
      });
    } else {
      await runAdaptive({
        ...input,
        jobs,
        store,
        settings: adaptive,
        onRound: noteSearch,
        onImage: judgeLive,
      });
    }
    await live?.finish();
  } finally {
    log?.close();
  }
  await writeGrids(input);
  await removeTemporaries(dir);
  if (judge === null) return null;
  const set = await openImageSet(benchmark, dir, false);
  return judgeFolder({ benchmark, dir, set, out, judge, signal });
}

/**
 * Jobs in an order that mixes the tasks, so that the live table is about the whole set from the start. Results do not
 * depend on it.
 */
function jobsOf({ benchmark, record, prompts }: EvaluationInput): SampleJob[] {
  const seen = new Map<string, number>();
  const ranks = prompts.map(({ tag }) => {
    const rank = seen.get(tag) ?? 0;
    seen.set(tag, rank + 1);
    return rank;
  });
  const order = prompts
    .map((item, promptIndex) => ({
      item,
      promptIndex,
      at: ranks[promptIndex]! / seen.get(item.tag)!,
    }))
    .sort((a, b) => a.at - b.at || a.promptIndex - b.promptIndex);
  return Array.from({ length: record.samples }, (_, sample) =>
    order.map(
      ({ item, promptIndex }): SampleJob => ({
        config: record.config,
        configHash: record.configHash,
        models: record.models,
        promptIndex,
        sample,
        round: null,
        item,
        image: benchmark.layout.image(promptIndex, sample, item),
        seed: sampleSeed(record.seed, sample, null),
      }),
    ),
  ).flat();
}

/** Several at once: decoding and encoding have threads of their own. */
async function writeGrids({ benchmark, dir, prompts, record }: EvaluationInput): Promise<void> {
  const limit = pLimit(4);
  await Promise.all(
    prompts.map((item, index) => limit(() => writeGrid(benchmark, dir, index, item, record.samples))),
  );
}

async function writeGrid(
  { layout: { grid, image } }: Benchmark,
  dir: string,
  index: number,
  item: BenchmarkItem,
  samples: number,
): Promise<void> {
  const file = grid(index, item);
  if (file === null) return;
  const paths = Array.from({ length: samples }, (_, sample) => join(dir, image(index, sample, item)));
  const images = await Promise.all(paths.map((path) => decodePng(path)));
  const png = await encodePng(gridOf(images, file));
  const path = join(dir, file.path);
  const before = await readFile(path).catch(() => null);
  if (before === null || !before.equals(png)) await writeFileAtomic(path, png);
}

/** Removes what killed programs have left half-written, so that the folder is that of an undisturbed run. */
async function removeTemporaries(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && temporaryName.test(entry.name))
      await rm(join(entry.parentPath, entry.name), { force: true });
  }
}
