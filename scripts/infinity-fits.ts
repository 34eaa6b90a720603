/**
 * Cost and memory of searches with an exported model at its sizes, as a table for docs/infinity.md. Nothing is loaded.
 *
 *     npx tsx scripts/infinity-fits.ts ./infinity-2b
 */

import { planConfig } from "../src/assemble/open-search.ts";
import { resolveConfig } from "../src/config/resolve.ts";

const [model = "./infinity-2b"] = process.argv.slice(2);
const SIZES = ["0.06M", "0.25M", "0.60M", "1M"];
const SEARCHES = [
  { title: "one image", strategy: "single", budget: 1 },
  { title: "best of 2", strategy: "best-of-n", budget: 2 },
  { title: "best of 8", strategy: "best-of-n", budget: 8 },
  { title: "tts-var, budget 8", strategy: "tts-var", budget: 8 },
];
const host = { baseDir: process.cwd(), allowDownload: false, log: () => {} };

async function planOf(size: string, strategy: string, budget: number, maxMemory: string) {
  const set = (path: string, value: unknown) => ({ path, value, flag: "script" });
  const { config } = resolveConfig({
    flags: [
      set("task.prompt", "any prompt"),
      set("model.name", model),
      set("model.size", size),
      set("strategy.name", strategy),
      set("budget", budget),
      set("maxMemory", maxMemory),
    ],
  });
  return (await planConfig(config, host)).plan;
}

/** Least memory in GiB that the search can be planned into, by bisection. */
async function leastMemory(size: string, strategy: string, budget: number): Promise<number> {
  let [low, high] = [0, 1024];
  while (high - low > 0.05) {
    const middle = (low + high) / 2;
    const fits = await planOf(size, strategy, budget, `${middle.toFixed(3)}GiB`).then(
      () => true,
      () => false,
    );
    if (fits) high = middle;
    else low = middle;
  }
  return high;
}

console.log("| size | search | TFLOP | memory, in one piece | memory, split |\n|---|---|--:|--:|--:|");
for (const size of SIZES) {
  for (const { title, strategy, budget } of SEARCHES) {
    const { spending, memory } = await planOf(size, strategy, budget, "9TiB");
    const least = await leastMemory(size, strategy, budget);
    console.log(
      `| ${size} | ${title} | ${(spending.total / 1e12).toFixed(1)} | ${(memory!.peak / 2 ** 30).toFixed(1)} GiB | ${least.toFixed(1)} GiB |`,
    );
  }
}
