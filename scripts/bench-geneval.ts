import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  countRecords,
  kill,
  type Running,
  startCli,
  untilRecords,
} from "../test/e2e/support/geneval-processes.ts";
import { findRedis } from "../test/e2e/support/queue-servers.ts";

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
  const rate = async (name: string, ...more: readonly string[]): Promise<GenevalRate> => {
    const out = join(dir, name);
    const start = performance.now();
    const running = startCli([
      ...["geneval", "generate", "--prompts", String(prompts), "--samples", "1"],
      ...["--strategy", "single", "--budget", "1", "--out", out, ...more],
    ]);
    await untilRecords(out, 1, running);
    const first = performance.now();
    const before = await countRecords(out);
    await untilRecords(out, prompts, running);
    const last = performance.now();
    const code = await running.ended;
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${running.stderr()}`);
    return {
      promptsPerSecond: hundredths((1000 * (prompts - before)) / (last - first)),
      secondsToFirst: hundredths((first - start) / 1000),
    };
  };
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
