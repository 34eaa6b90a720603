import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, kill, type Running, startCli, startRedis } from "../test/e2e/support/geneval-processes.ts";

/** Prompts per second of `geneval generate` with the embedded models, start-up included. */
export interface GenevalRates {
  readonly prompts: number;
  readonly inProcess: number;
  readonly oneWorkerProcess: number;
  readonly twoWorkerProcesses: number;
  /** Two `tts-var worker` processes on a Redis of this machine; null without redis-server. */
  readonly bullmqTwoWorkers: number | null;
}

/** One image per prompt with `single`; runs one after the other. */
export async function benchGeneval(prompts: number): Promise<GenevalRates> {
  const dir = await mkdtemp(join(tmpdir(), "tts-var-bench-geneval-"));
  const rate = async (name: string, ...more: readonly string[]): Promise<number> => {
    const start = performance.now();
    const running = startCli([
      ...["geneval", "generate", "--prompts", String(prompts), "--samples", "1"],
      ...["--strategy", "single", "--budget", "1", "--out", join(dir, name), ...more],
    ]);
    const code = await running.ended;
    if (code !== 0) throw new Error(`${name} ended with ${code}: ${running.stderr()}`);
    return Math.round((100_000 * prompts) / (performance.now() - start)) / 100;
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

async function withQueue(dir: string, measure: (url: string) => Promise<number>): Promise<number | null> {
  const port = await freePort();
  const server = await startRedis(port, dir).catch(() => null);
  if (server === null) return null;
  const url = `redis://127.0.0.1:${port}`;
  const workers: Running[] = [1, 2].map(() => startCli(["worker", "--queue", url, "--quiet"]));
  try {
    return await measure(url);
  } finally {
    for (const running of [...workers, server]) await kill(running);
  }
}
