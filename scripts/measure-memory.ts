/**
 * A generator's memory as planned and as it is, in a process that does nothing else. Linux only.
 *
 *     npx tsx scripts/measure-memory.ts MODEL_DIR [CANDIDATES] [SIZE]
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
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
const generator = await loadInfinity(resolve(dir), { threads: 2, shape: size === undefined ? {} : { size } });
const loaded = peak();
const { memory, defaults, scales, latent } = generator;
const ids = Array.from({ length: Number(count) }, (_, index) => `c${index}`);
const session = await generator.start({ prompt: "a photo of a red cup", seed: 0, ids, settings: defaults });
const rows = [];
let kept = 0;
let working = 0;
for (const { index } of scales) {
  await session.step();
  const width = index === 0 ? 1 : ids.length;
  const guided = index < defaults.guidanceUntil;
  kept += memory!.kept(index, width, guided);
  working = Math.max(working, memory!.working(index, width, guided));
  const planned = memory!.weights + memory!.text + kept + working;
  rows.push({ scale: index, planned: mib(planned), measured: mib(peak() - empty) });
}
await session.decode(ids.map((_, row) => row));
const planned = memory!.weights + memory!.text + kept + working + memory!.decode(latent, ids.length);
rows.push({ scale: "decode", planned: mib(planned), measured: mib(peak() - empty) });
const measured = peak() - empty;
console.log(
  JSON.stringify(
    {
      model: generator.name,
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
