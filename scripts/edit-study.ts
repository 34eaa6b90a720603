/**
 * Editing, measured: success by a judge that no reward uses, and how well the rest is preserved, for one candidate and for
 * the best of several by a reward.
 *
 *     (cd training && .venv/bin/python -m ttsvar.varedit.write_pairs --count 100 --out ../results/runs/edit-pairs)
 *     npx tsx scripts/edit-study.ts --pairs results/runs/edit-pairs --model embedded --mask-mode requantise --out FILE.json
 *     npx tsx scripts/edit-study.ts --pairs results/runs/edit-pairs --model varedit --out FILE.json
 *
 * A model that edits by mask is given the mask and a prompt that says what is to be seen, and the reward is `geneval`; one that
 * edits by instruction, the instruction, and the reward is `edit`, which knows no more. Outside is compared with the source's round trip through the model's own tokenizer.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { rewardRegistry } from "../src/assemble/builtins.ts";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW } from "../src/core/generator.ts";
import type { RgbImage } from "../src/core/image.ts";
import type { MaskMode, Task } from "../src/core/task.ts";
import { type GenevalMetadata, officialOptions } from "../src/eval/geneval/rules.ts";
import { writeJsonAtomic } from "../src/io/atomic.ts";
import { decodePng } from "../src/io/png.ts";
import { loadReward } from "../src/plugins/load-reward.ts";
import { bootstrapIntervals, type EditCell } from "./support/paired-interval.ts";

interface Row {
  readonly index: number;
  readonly kind: string;
  readonly instruction: string;
  readonly metadata: GenevalMetadata;
}

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "results/runs/edit-pairs" },
    model: { type: "string", default: "embedded" },
    "mask-mode": { type: "string", default: "requantise" },
    candidates: { type: "string", default: "8" },
    options: { type: "string", default: "{}" },
    limit: { type: "string", default: "1000" },
    out: { type: "string", default: "results/runs/edit-study.json" },
  },
});
const width = Number(values.candidates);
const rows = (JSON.parse(readFileSync(join(values.pairs, "pairs.json"), "utf8")) as Row[]).slice(
  0,
  Number(values.limit),
);
const { definition } = await findGenerator(values.model);
const generator = await definition.open(
  { settings: JSON.parse(values.options) },
  { inProcess: true, threads: 1 },
);
const byMask = generator.traits.can.includes("mask");
const tokenizer = byMask
  ? generator
  : await (await findGenerator("embedded")).definition.open({}, { inProcess: true, threads: 1 });
const judge = await openJudge({ detector: "detector-b", colorModel: null, rules: officialOptions });
const host = { baseDir: process.cwd(), allowDownload: false, log: () => undefined };
const { value: reward } = await loadReward(byMask ? "geneval" : "edit", {}, {
  ...host,
  registry: rewardRegistry,
} as never);
const context = {
  signal: new AbortController().signal,
  stage: { kind: "final", index: generator.traits.stages.length - 1, count: generator.traits.stages.length },
  seed: 0,
  log: () => undefined,
} as const;

async function draw(from: typeof generator, task: Task, ids: readonly string[]): Promise<RgbImage[]> {
  const session = await from.start(task, ids);
  while (session.stage < from.traits.stages.length) await session.step();
  const views = await session.view([...ids.keys()], FULL_VIEW);
  session.release();
  return views.map(({ frames }) => frames[0]);
}

/** PSNR in dB over the pixels where the mask is black. */
function outside(a: RgbImage, b: RgbImage, mask: RgbImage): number {
  let sum = 0;
  let count = 0;
  a.data.forEach((value, at) => {
    if (mask.data[at]! >= 128) return;
    sum += (value - b.data[at]!) ** 2;
    count++;
  });
  return 10 * Math.log10((255 ** 2 * count) / Math.max(sum, 1));
}

const ids = Array.from({ length: width }, (_, index) => `c${index}`);
const cells: EditCell[] = [];
for (const { index, kind, instruction, metadata } of rows) {
  const file = (side: string) =>
    decodePng(join(values.pairs, `${String(index).padStart(3, "0")}-${side}.png`));
  const [source, mask] = [await file("source"), await file("mask")];
  const task: Task = byMask
    ? { prompt: metadata.prompt, seed: index, source, mask, maskMode: values["mask-mode"] as MaskMode }
    : { prompt: instruction, seed: index, source };
  const images = await draw(generator, task, ids);
  const keep = await tokenizer.encode!(source);
  const [round] = await draw(tokenizer, { prompt: metadata.prompt, seed: 0, keep }, ["c0"]);
  const verdicts = await judge.judge(images.map((image) => ({ item: metadata, image })));
  const { scores } = await reward.score(
    images.map((image, at) => ({
      ...{ image, id: ids[at]! },
      ...(byMask
        ? { prompt: metadata.prompt, metadata: { ...metadata } }
        : { prompt: instruction, metadata: {}, source }),
    })),
    context,
  );
  const best = ids.reduce((most, _, at) => (scores[at]! > scores[most]! ? at : most), 0);
  const psnr = images.map((image) => outside(image, round!, mask));
  const correct = verdicts.map((verdict) => (verdict.correct ? 1 : 0));
  cells.push({
    index,
    kind,
    one: correct.reduce<number>((sum, value) => sum + value, 0) / width,
    best: correct[best]!,
    outsideOne: psnr.reduce((sum, value) => sum + value, 0) / width,
    outsideBest: psnr[best]!,
  });
  process.stderr.write(
    `${index} ${kind} one ${cells.at(-1)!.one} best ${cells.at(-1)!.best} outside ${psnr[best]!.toFixed(1)}\n`,
  );
}
const summary = {
  model: generator.traits.name,
  mode: byMask ? values["mask-mode"] : "instruction",
  settings: JSON.parse(values.options) as unknown,
  edits: cells.length,
  candidates: width,
  ...bootstrapIntervals(cells),
  byKind: Object.fromEntries(
    [...new Set(cells.map(({ kind }) => kind))].map((kind) => {
      const own = cells.filter((cell) => cell.kind === kind);
      return [
        kind,
        { edits: own.length, one: mean(own.map((c) => c.one)), best: mean(own.map((c) => c.best)) },
      ];
    }),
  ),
};

function mean(numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
}

await writeJsonAtomic(values.out, { summary, cells });
console.log(JSON.stringify(summary, null, 1));
await generator[Symbol.asyncDispose]();
if (tokenizer !== generator) await tokenizer[Symbol.asyncDispose]();
await judge[Symbol.asyncDispose]();
await reward[Symbol.asyncDispose]();
