/**
 * A generator's memory as planned and as it is, in a process that does nothing else: at the peak, and what candidates keep
 * between stages. Linux only.
 *
 *     npx tsx scripts/measure-memory.ts MODEL_DIR [--candidates 8] [--size 256x256] [--options '{"cache": "scalekv"}'] [--out FILE.json]
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { FULL_VIEW } from "../src/core/generator.ts";
import type { InfinityState } from "../src/generators/next-scale/infinity/graph-network.ts";
import { infinityTraits, openNetwork, readInfinity } from "../src/generators/next-scale/infinity/open.ts";
import { resolveInfinity } from "../src/generators/next-scale/infinity/settings.ts";
import type { Network } from "../src/generators/next-scale/network.ts";
import { startSession } from "../src/generators/next-scale/session.ts";
import { embeddedModelPath } from "../src/inference/folder/model-folder.ts";
import { openOrtSession } from "../src/inference/runtime/ort-session.ts";
import { writeJsonAtomic } from "../src/io/atomic.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    candidates: { type: "string", default: "8" },
    size: { type: "string" },
    options: { type: "string", default: "{}" },
    threads: { type: "string", default: "2" },
    out: { type: "string" },
  },
});
const dir = resolve(positionals[0] ?? "models/generator");
const shape = flags.size === undefined ? {} : { size: flags.size };
const settings: unknown = JSON.parse(flags.options);
const threads = Number(flags.threads);

/** The most memory that this process ever had, in bytes. */
function peak(): number {
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
}

const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
const beside = (planned: number, measured: number) => ({
  planned: mib(planned),
  measured: mib(measured),
  error: Number((planned / measured - 1).toFixed(3)),
});

// The runtime's own code and arenas are there whatever the model.
const small = await openOrtSession(`${await embeddedModelPath("generator")}/text_encoder.onnx`, { threads });
await small[Symbol.asyncDispose]();
const empty = peak();
const read = await readInfinity(dir, shape);
const traits = infinityTraits(read, settings);
const { sampling, cache } = resolveInfinity(read, settings);
const { network, code, close } = await openNetwork(dir, shape, { threads, policy: cache.policy });
const loaded = peak();

/** Bytes of the cache after the latest stage. */
let cached = 0;
const watched: Network<InfinityState> = {
  begin: (task) => network.begin(task),
  async run(state, pass) {
    const output = await network.run(state, pass);
    cached = output.state.past.bytes;
    return output;
  },
  select: (state, parents) => network.select(state, parents),
  rewind: (state, stages) => network.rewind(state, stages),
  decode: (latents, quality) => network.decode(latents, quality),
};

const { memory, stages } = traits;
const ids = Array.from({ length: Number(flags.candidates) }, (_, index) => `c${index}`);
const session = await startSession(
  { network: watched, code, traits, settings: sampling },
  { prompt: "a photo of a red cup", seed: 0 },
  ids,
);
const rows = [];
let kept = 0;
let persistent = { planned: 0, measured: 0 };
let worst = 0;
for (const { index } of stages) {
  await session.step();
  // Before the first draw all candidates are one.
  const width = index === 0 ? 1 : ids.length;
  kept = cache.policy
    ? width * memory!.kept[index]!
    : kept + width * (memory!.kept[index]! - (memory!.kept[index - 1] ?? 0));
  if (cached > persistent.measured) persistent = { planned: kept, measured: cached };
  worst = Math.max(worst, kept + width * memory!.working[index]!);
  const planned = memory!.weights + memory!.prompt + worst;
  rows.push({ stage: index, kept: beside(kept, cached), peak: beside(planned, peak() - empty) });
}
await session.view([...ids.keys()], FULL_VIEW);
const { bytes, atOnce } = memory!.view;
const views = bytes * Math.min(ids.length, Math.max(1, Math.floor(atOnce)));
const content = {
  model: traits.name,
  shape: traits.shape.id,
  settings,
  candidates: ids.length,
  weights: beside(memory!.weights, loaded - empty),
  persistent: beside(persistent.planned, persistent.measured),
  peak: beside(memory!.weights + memory!.prompt + worst + views, peak() - empty),
  rows,
};
if (flags.out) await writeJsonAtomic(flags.out, { schemaVersion: 1, ...content });
console.log(JSON.stringify(content, null, 1));
await close();
