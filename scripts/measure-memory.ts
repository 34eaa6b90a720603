/**
 * A generator's memory as planned and as it is, in a process that does nothing else. Linux only.
 *
 *     npx tsx scripts/measure-memory.ts MODEL_DIR [CANDIDATES] [SIZE]
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { FULL_VIEW } from "../src/core/generator.ts";
import { loadInfinity } from "../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";
import { openOrtSession } from "../src/inference/runtime/ort-session.ts";

const [dir = "models/generator", count = "8", size] = process.argv.slice(2);

/** The most memory that this process ever had, in bytes. */
function peak(): number {
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

// The runtime's own code and arenas are there whatever the model.
const small = await openOrtSession(`${await embeddedModelPath("generator")}/text_encoder.onnx`, {
  threads: 2,
});
await small[Symbol.asyncDispose]();
const empty = peak();
const generator = await loadInfinity(
  resolve(dir),
  { shape: size === undefined ? {} : { size } },
  { threads: 2 },
);
const loaded = peak();
const { memory, stages, shape, name } = generator.traits;
const ids = Array.from({ length: Number(count) }, (_, index) => `c${index}`);
const session = await generator.start({ prompt: "a photo of a red cup", seed: 0 }, ids);
const rows = [];
let kept = 0;
let working = 0;
for (const { index } of stages) {
  await session.step();
  const width = index === 0 ? 1 : ids.length;
  kept += width * (memory!.kept[index]! - (memory!.kept[index - 1] ?? 0));
  working = Math.max(working, width * memory!.working[index]!);
  const planned = memory!.weights + memory!.prompt + kept + working;
  rows.push({ stage: index, planned: mib(planned), measured: mib(peak() - empty) });
}
await session.view([...ids.keys()], FULL_VIEW);
const { bytes, atOnce } = memory!.view;
const views = bytes * Math.min(ids.length, Math.max(1, Math.floor(atOnce)));
const planned = memory!.weights + memory!.prompt + kept + working + views;
rows.push({ stage: `view ${shape.id}`, planned: mib(planned), measured: mib(peak() - empty) });
const measured = peak() - empty;
console.log(
  JSON.stringify(
    {
      model: name,
      candidates: ids.length,
      weights: { planned: mib(memory!.weights), measured: mib(loaded - empty) },
      peak: {
        planned: mib(planned),
        measured: mib(measured),
        error: Number((planned / measured - 1).toFixed(2)),
      },
      rows,
    },
    null,
    1,
  ),
);
await generator[Symbol.asyncDispose]();
