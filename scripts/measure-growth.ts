/**
 * Whether a process that searches for many prompts grows: memory, handles and threads after a warm-up and in the end, as JSON.
 *
 *   npx tsx --expose-gc scripts/measure-growth.ts [prompts] [model]
 */
import { readdirSync } from "node:fs";
import { open } from "../src/index.ts";

const [count = "200", model = "embedded"] = process.argv.slice(2);
const warm = 20;

const collect = (globalThis as { gc?: () => void }).gc ?? (() => {});
const threads = (): number | null => {
  try {
    return readdirSync("/proc/self/task").length;
  } catch {
    return null;
  }
};
const look = () => {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mebibytes = (bytes: number): number => Math.round((10 * bytes) / 2 ** 20) / 10;
  return {
    rssMiB: mebibytes(rss),
    heapMiB: mebibytes(heapUsed),
    externalMiB: mebibytes(external),
    handles: process.getActiveResourcesInfo().length,
    threads: threads(),
  };
};

const tts = await open({ model, reward: "clip", strategy: "best-of-n", budget: 2 });
try {
  const prompts = Array.from({ length: Number(count) }, (_, at) => `a photo of a cup number ${at}`);
  const seen: (ReturnType<typeof look> & { after: number })[] = [];
  for await (const { index } of tts.search(prompts)) {
    const after = index + 1;
    if (after === warm || after % 50 === 0 || after === prompts.length) seen.push({ after, ...look() });
  }
  process.stdout.write(`${JSON.stringify(seen, null, 1)}\n`);
} finally {
  await tts[Symbol.asyncDispose]();
}
