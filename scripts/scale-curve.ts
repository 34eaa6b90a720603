/**
 * Time and memory against the number of candidates, each number of every round beside the others, so that the machine's mood is
 * shared. As a table, with what a candidate costs compared with one of eight.
 *
 *     npx tsx scripts/scale-curve.ts [MODEL_DIR] [--candidates 1,2,4,8,16,32,64,128,256] [--rounds 7] [--size SIZE] [--threads N]
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { loadInfinity } from "../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";
import { drawAll } from "./support/best-of-n.ts";
import { costOf } from "./support/process-cost.ts";
import { Collected, median, order, roundsOf } from "./support/samples.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    candidates: { type: "string", default: "1,2,4,8,16,32,64,128,256" },
    rounds: { type: "string", default: "7" },
    size: { type: "string" },
    threads: { type: "string" },
  },
});
const counts = values.candidates.split(",").map(Number);
const rounds = Number(values.rounds);
const dir = positionals[0] === undefined ? await embeddedModelPath("generator") : resolve(positionals[0]);
const shape = values.size === undefined ? {} : { size: values.size };
const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
const generator = await loadInfinity(dir, { shape }, threads);
const samples = new Collected();
for (const round of roundsOf(rounds)) {
  for (const count of order(counts, round)) {
    const { result, cpu, peak } = await costOf(() =>
      drawAll(generator, "a photo of a red cup", count, round + 1),
    );
    if (round < 0) continue;
    samples.add(`${count} transformer`, result.transformer);
    samples.add(`${count} decode`, result.decode);
    samples.add(`${count} cpu`, cpu);
    samples.add(`${count} peak`, peak / 2 ** 20);
  }
}
const reference = counts.includes(8) ? 8 : counts[0]!;
const each = (count: number): number => median(samples.of(`${count} cpu`)) / count;
console.log(
  `| candidates | transformer, ms | decode, ms | processor, ms | peak, MiB | processor of a candidate, against one of ${reference} |`,
);
console.log("|--:|--:|--:|--:|--:|--:|");
for (const count of counts) {
  const cells = ["transformer", "decode", "cpu", "peak"].map((part) =>
    median(samples.of(`${count} ${part}`)).toFixed(0),
  );
  console.log(`| ${count} | ${cells.join(" | ")} | ${(each(count) / each(reference)).toFixed(2)} |`);
}
await generator[Symbol.asyncDispose]();
