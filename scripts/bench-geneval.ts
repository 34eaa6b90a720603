import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import {
  countRecords,
  kill,
  type Running,
  startCli,
  untilRecords,
} from "../test/e2e/support/geneval-processes.ts";
import { findRedis } from "../test/e2e/support/queue-servers.ts";
import { Collected, median, order, roundsOf } from "./support/samples.ts";

/** How fast one backend is, with the embedded models. */
export interface GenevalRate {
  /** From the first finished searches to the last one. */
  readonly promptsPerSecond: number;
  /** From the start of the program to the first finished search: loading programs and models. */
  readonly secondsToFirst: number;
}

export interface GenevalRates {
  readonly prompts: number;
  readonly inProcess: GenevalRate;
  readonly oneWorkerProcess: GenevalRate;
  readonly twoWorkerProcesses: GenevalRate;
  /** Two `tts-var worker` processes on a Redis of this machine; null where none can be had. */
  readonly bullmqTwoWorkers: GenevalRate | null;
}

const hundredths = (value: number): number => Math.round(100 * value) / 100;

/** One image per prompt with `single`; runs one after the other. */
export async function benchGeneval(prompts: number): Promise<GenevalRates> {
  const dir = await mkdtemp(join(tmpdir(), "tts-var-bench-geneval-"));
  const rate = (name: string, ...more: readonly string[]): Promise<GenevalRate> =>
    rateOf(join(dir, name), prompts, ["--strategy", "single", "--budget", "1", ...more]);
  try {
    return {
      prompts,
      inProcess: await rate("in-process", "--workers", "0"),
      oneWorkerProcess: await rate("one", "--workers", "1"),
      twoWorkerProcesses: await rate("two", "--workers", "2"),
      bullmqTwoWorkers: await withQueue(dir, (url) => rate("bullmq", "--queue", url)),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/**
 * Every split of the cores between processes and their threads, and what is taken unasked, in turns; prompts a second
 * as a table on stderr. Best of four, so that rewards have their part.
 */
export async function benchSplits(prompts: number, rounds: number): Promise<unknown> {
  const cores = availableParallelism();
  const splits: Record<string, readonly string[]> = { "as it is unasked": [] };
  for (let workers = 0; workers <= cores; workers = workers === 0 ? 1 : 2 * workers) {
    for (let threads = 1; threads <= cores; threads *= 2) {
      if (Math.max(1, workers) * threads > 2 * cores) continue;
      const [processes, each] = [String(workers), String(threads)];
      splits[`${processes} workers, ${each} threads`] = ["--workers", processes, "--threads", each];
    }
  }
  const dir = await mkdtemp(join(tmpdir(), "tts-var-bench-splits-"));
  const found = new Collected();
  try {
    for (const round of roundsOf(rounds)) {
      // The first one of all has cold files to read.
      for (const [name, more] of round < 0
        ? Object.entries(splits).slice(0, 1)
        : order(Object.entries(splits), round)) {
        const out = join(dir, `${round} ${name}`);
        const rate = await rateOf(out, prompts, ["--strategy", "best-of-n", "--budget", "4", ...more]);
        if (round >= 0) found.add(name, rate.promptsPerSecond);
        await rm(out, { recursive: true });
      }
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  const rows = Object.keys(splits).map((name) => `| ${name} | ${median(found.of(name)).toFixed(2)} |`);
  console.error(["| split | prompts a second |", "|---|--:|", ...rows].join("\n"));
  return { cores, prompts, promptsPerSecond: found.summaries() };
}

async function rateOf(out: string, prompts: number, flags: readonly string[]): Promise<GenevalRate> {
  const start = performance.now();
  const running = startCli([
    ...["geneval", "generate", "--prompts", String(prompts), "--samples", "1"],
    ...["--out", out, ...flags],
  ]);
  await untilRecords(out, 1, running);
  const first = performance.now();
  const before = await countRecords(out);
  await untilRecords(out, prompts, running);
  const last = performance.now();
  const code = await running.ended;
  if (code !== 0) throw new Error(`${flags.join(" ")} ended with ${code}: ${running.stderr()}`);
  return {
    promptsPerSecond: hundredths((1000 * (prompts - before)) / (last - first)),
    secondsToFirst: hundredths((first - start) / 1000),
  };
}

async function withQueue<Rate>(dir: string, measure: (url: string) => Promise<Rate>): Promise<Rate | null> {
  const redis = await findRedis();
  if (redis === null) return null;
  const { url, start } = await redis.open(dir);
  const server = await start();
  const workers: Running[] = [1, 2].map(() => startCli(["worker", "--queue", url, "--quiet"]));
  try {
    return await measure(url);
  } finally {
    for (const running of [...workers, server]) await kill(running);
  }
}
