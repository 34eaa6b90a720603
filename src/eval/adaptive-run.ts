import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { COST_KINDS, type CostKind, type Spending } from "../core/budget.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import type { Backend } from "../queue/backend.ts";
import { affordableRounds, nextWave } from "./adaptive.ts";
import type { AdaptiveSettings } from "./evaluation-record.ts";
import { layout } from "./layout.ts";
import { runJobs } from "./run-jobs.ts";
import { type SampleJob, type SampleRecord, type SampleResult, sampleSeed } from "./sample-job.ts";
import type { SampleStore } from "./sample-store.ts";

export interface AdaptiveRunInput {
  readonly dir: string;
  /** One job per image; rounds are made of them. */
  readonly jobs: readonly SampleJob[];
  readonly settings: AdaptiveSettings;
  readonly backend: Backend<SampleJob, SampleResult>;
  readonly store: SampleStore;
  readonly reward: { readonly name: string; readonly direction: "higher" | "lower" };
  readonly signal: AbortSignal;
  onRound?(job: SampleJob, seconds: number | null): void;
  /** Called when the image's last round is known and its file is in place. */
  onImage?(job: SampleJob): Promise<void>;
}

/** What an image got: one line of `allocation.jsonl`. */
export interface Allocation {
  readonly promptIndex: number;
  readonly sample: number;
  readonly prompt: string;
  readonly rounds: number;
  readonly units: number;
  readonly flops: number;
  /** Raw score of the best round. */
  readonly best: number;
  readonly ended: "reached" | "no gain expected" | "budget";
}

/**
 * Spends a total over all images in rounds, each an independent search, and makes the best round the image's sample.
 * The waves are computed anew from the recorded rounds when a run is continued, so interruptions change nothing.
 */
export async function runAdaptive(input: AdaptiveRunInput): Promise<Allocation[]> {
  const { settings, reward } = input;
  const sign = reward.direction === "higher" ? 1 : -1;
  const rounds: SampleRecord[][] = input.jobs.map(() => []);
  const scoreOf = (record: SampleRecord): number =>
    record.candidates.find(({ id }) => id === record.best)!.scores[reward.name]!;
  const oriented = { ...settings, stopAt: settings.stopAt === null ? null : sign * settings.stopAt };

  for (;;) {
    const wave = nextWave(
      input.jobs.map(({ promptIndex }, index) => ({
        promptIndex,
        scores: rounds[index]!.map((record) => sign * scoreOf(record)),
      })),
      oriented,
    );
    if (wave.length === 0) break;
    const jobs = wave.map((index): SampleJob => {
      const job = input.jobs[index]!;
      const round = rounds[index]!.length;
      const rootSeed = job.seed.slice(0, job.seed.lastIndexOf("/"));
      return { ...job, round, seed: sampleSeed(rootSeed, job.sample, round) };
    });
    const records = await runJobs({
      jobs,
      backend: input.backend,
      store: input.store,
      signal: input.signal,
      onDone: (job, _record, seconds) => input.onRound?.(job, seconds),
    });
    records.forEach((record, at) => {
      rounds[wave[at]!]!.push(record);
    });
  }

  const allocations: Allocation[] = [];
  for (const [index, job] of input.jobs.entries()) {
    const mine = rounds[index]!;
    const best = mine.reduce((a, b) => (sign * scoreOf(b) > sign * scoreOf(a) ? b : a));
    await writeBest(input, job, best, mine, scoreOf);
    const reached = oriented.stopAt !== null && sign * scoreOf(best) >= oriented.stopAt;
    const exhausted = rounds.flat().length >= affordableRounds(settings);
    allocations.push({
      promptIndex: job.promptIndex,
      sample: job.sample,
      prompt: job.item.prompt,
      rounds: mine.length,
      units: mine.length * settings.roundUnits,
      flops: mine.reduce((sum, { spending }) => sum + spending.total, 0),
      best: scoreOf(best),
      ended: reached ? "reached" : exhausted ? "budget" : "no gain expected",
    });
    await input.onImage?.(job);
  }
  allocations.sort((a, b) => a.promptIndex - b.promptIndex || a.sample - b.sample);
  const lines = allocations.map((row) => `${JSON.stringify(row)}\n`);
  await writeFileAtomic(join(input.dir, layout.allocation), lines.join(""));
  return allocations;
}

/** Copies the best round to the sample's place, with the sum of what all rounds spent. */
async function writeBest(
  { store }: AdaptiveRunInput,
  job: SampleJob,
  best: SampleRecord,
  rounds: readonly SampleRecord[],
  scoreOf: (record: SampleRecord) => number,
): Promise<void> {
  const png = await readFile(store.imagePath({ ...job, round: best.round }));
  const record: SampleRecord = {
    ...best,
    round: null,
    units: rounds.reduce((sum, { units }) => sum + units, 0),
    limit: rounds.reduce((sum, { limit }) => sum + limit, 0),
    spending: addSpendings(rounds.map(({ spending }) => spending)),
    rounds: rounds.map((each) => ({ round: each.round!, score: scoreOf(each), units: each.units })),
  };
  const before = await store.load({ ...job, round: null, seed: best.seed });
  if (JSON.stringify(before) === JSON.stringify(record)) return;
  await store.save({ ...job, round: null }, { record, png: png.toString("base64"), seconds: 0 });
}

function addSpendings(parts: readonly Spending[]): Spending {
  const byKind = Object.fromEntries(
    COST_KINDS.map((kind) => [kind, parts.reduce((sum, part) => sum + part.byKind[kind], 0)]),
  ) as Record<CostKind, number>;
  const byStage = parts[0]!.byStage.map((_, scale) =>
    parts.reduce((sum, part) => sum + part.byStage[scale]!, 0),
  );
  return { total: parts.reduce((sum, part) => sum + part.total, 0), byKind, byStage };
}
