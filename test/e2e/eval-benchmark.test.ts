import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { benchmarkRegistry } from "../../src/assemble/builtins.ts";
import { partsOpener } from "../../src/assemble/open-parts.ts";
import { expandNames } from "../../src/config/load.ts";
import { configHash } from "../../src/config/resolve.ts";
import { searchSchema } from "../../src/config/schema.ts";
import { arithmeticMean } from "../../src/core/atoms.ts";
import type { Atom, Benchmark, BenchmarkItem, Judge } from "../../src/core/benchmark.ts";
import { TtsVarError } from "../../src/core/errors.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { compareResults } from "../../src/eval/compare.ts";
import { type EvaluationRecord, hashPrompts } from "../../src/eval/evaluation-record.ts";
import { openImageSet } from "../../src/eval/image-set.ts";
import { judgeFolder } from "../../src/eval/judge-folder.ts";
import { readResults } from "../../src/eval/results.ts";
import { runEvaluation } from "../../src/eval/run-evaluation.ts";
import { modelVersions, SampleRunner } from "../../src/eval/run-sample.ts";
import { summarize } from "../../src/eval/summary.ts";
import { formatSummary } from "../../src/eval/summary-table.ts";
import { decodePng } from "../../src/io/png.ts";
import { createInProcessBackend } from "../../src/queue/in-process.ts";
import { runHere } from "./support/run-here.ts";

/** A benchmark that asks about halves of a picture: "bright" first, and only then "brighter than the other one". */
interface HalvesItem extends BenchmarkItem {
  readonly ask: readonly ("left" | "right")[];
}

const schema = z.object({
  prompt: z.string(),
  tag: z.enum(["one side", "both sides"]),
  ask: z.array(z.enum(["left", "right"])).min(1),
});

/** File names of T2I-CompBench's kind: the prompt, then the number. */
const halves: Benchmark<HalvesItem> = {
  name: "halves",
  title: "Halves",
  tags: ["both sides", "one side"],
  atomsInResults: true,
  layout: {
    image: (_index, sample, { prompt }) => `samples/${prompt}_${String(sample).padStart(6, "0")}.png`,
    place: (filename) => ({ index: null, sample: Number(/_(\d{6})\.png$/.exec(filename)?.[1]) }),
    files: (items) => [
      ["index.json", JSON.stringify(items.map(({ prompt }) => prompt))],
      ...items.map(({ prompt }, index) => [`prompts/${index}.txt`, prompt] as const),
    ],
    grid: (_index, { prompt }) => ({ path: `pairs/${prompt}.png`, columns: 1, gap: 0 }),
  },
  async items(source) {
    const all = [
      { prompt: "a light wall", tag: "one side", ask: ["left"] },
      { prompt: "snow and clouds", tag: "both sides", ask: ["left", "right"] },
      { prompt: "two lamps", tag: "both sides", ask: ["right", "left"] },
    ];
    return all.slice(0, Number(source)).map((row, at) => halves.parse(row, `row ${at}`));
  },
  parse(row, where) {
    const parsed = schema.safeParse(row);
    if (parsed.success) return parsed.data;
    throw new TtsVarError("EVAL_DATA", `${where}: ${parsed.error.issues[0]!.message}`);
  },
  aggregate: arithmeticMean,
};

function brightness({ width, height, data }: RgbImage, side: "left" | "right"): number {
  let sum = 0;
  for (let at = 0; at < data.length; at++) {
    const isLeft = Math.floor(at / 3) % width < width / 2;
    if (isLeft === (side === "left")) sum += data[at]!;
  }
  return sum / ((width / 2) * height * 3) / 255;
}

const other = { left: "right", right: "left" } as const;
function atomsFor({ ask }: HalvesItem, image: RgbImage): Atom[] {
  return ask.flatMap((side, at): Atom[] => [
    {
      question: `How bright is the ${side} half?`,
      expected: "bright",
      p: brightness(image, side),
      skill: "brightness",
      parent: [],
    },
    {
      question: `Is the ${side} half the brighter one?`,
      expected: "yes",
      p: Number(brightness(image, side) > brightness(image, other[side])),
      skill: "comparison",
      parent: [2 * at],
    },
  ]);
}

const judge: Judge<HalvesItem> & { seen: number } = {
  id: "pixels@00000000",
  flops: 0,
  seen: 0,
  async judge(samples) {
    judge.seen += samples.length;
    return samples.map(({ item, image }) => {
      const atoms = atomsFor(item, image);
      const failed = atoms.filter(({ p }) => p < 0.5);
      return {
        ...{ correct: failed.length === 0, atoms, details: { width: image.width } },
        reason: failed.map(({ question }) => question).join("\n"),
      };
    });
  },
  async [Symbol.asyncDispose]() {},
};

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "tts-var-halves-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function run(out: string, budget: number) {
  const settings = {
    ...{ task: { prompt: "each item's own" }, model: "toy", strategy: "best-of-n", budget },
    reward: resolve("test/fixtures/brightness.mjs"),
  };
  expandNames(settings as never);
  const config = searchSchema.parse(settings);
  const runner = new SampleRunner(
    partsOpener((allowDownload) => ({ baseDir: process.cwd(), allowDownload, log: () => undefined })),
    () => 0,
  );
  const hash = configHash(config);
  const parts = await runner.open({ config, configHash: hash });
  const prompts = await halves.items("3", "0");
  const record: EvaluationRecord = {
    ...{ schemaVersion: 1, benchmark: halves.name, configHash: hash, config, models: modelVersions(parts) },
    ...{
      rewardModel: null,
      seed: 0,
      prompts: 3,
      promptsHash: hashPrompts(prompts),
      samples: 2,
      adaptive: null,
    },
  };
  await using backend = createInProcessBackend<never, never>(
    (job, signal) => runner.run(job, { signal }) as never,
    {
      concurrency: 1,
      dispose: () => runner[Symbol.asyncDispose](),
    },
  );
  return await runEvaluation({
    ...{ benchmark: halves, dir: out, record, prompts, backend, judge },
    reward: { name: config.reward.name, direction: parts.reward.direction },
    signal: new AbortController().signal,
  });
}

describe("a second benchmark, with its own layout and questions that depend on others", {
  timeout: 60_000,
}, () => {
  it("is made, judged and summarised by the code that GenEval uses", async () => {
    const out = join(dir, "run");
    const rows = (await run(out, 2))!;
    expect((await readdir(join(out, "samples"))).sort()).toEqual([
      ...["a light wall_000000.png", "a light wall_000001.png", "snow and clouds_000000.png"],
      ...["snow and clouds_000001.png", "two lamps_000000.png", "two lamps_000001.png"],
    ]);
    expect(await readFile(join(out, "prompts/2.txt"), "utf8")).toBe("two lamps");
    expect(JSON.parse(await readFile(join(out, "index.json"), "utf8"))).toHaveLength(3);
    const [pair, one] = [
      await decodePng(join(out, "pairs/two lamps.png")),
      await decodePng(join(out, rows[4]!.filename)),
    ];
    expect([pair.width, pair.height], "samples below each other").toEqual([one.width, 2 * one.height]);
    expect(pair.data.subarray(0, one.data.length)).toEqual(one.data);
    expect(rows).toHaveLength(6);
    for (const { atoms, score } of rows) {
      const ps = atoms!.map(({ p, parent: [at] }) => (at === undefined || atoms![at]!.p >= 0.5 ? p : 0));
      expect(score).toBeCloseTo(ps.reduce((sum, p) => sum + p, 0) / ps.length, 12);
    }
    expect((await readResults(join(out, "results.jsonl"))).rows).toEqual(rows);

    const summary = summarize(rows, { benchmark: halves });
    expect(summary).toMatchObject({
      label: "Halves-protocol (judge=pixels@00000000)",
      images: 6,
      prompts: 3,
    });
    expect(summary.byTag.map(({ tag, images }) => [tag, images])).toEqual([
      ["both sides", 4],
      ["one side", 2],
    ]);
    const mean = (tag: string): number => {
      const scores = rows.filter((row) => row.tag === tag).map(({ score }) => score!);
      return scores.reduce((sum, value) => sum + value, 0) / scores.length;
    };
    expect(summary.overall).toBeCloseTo((mean("both sides") + mean("one side")) / 2, 12);
    expect(summary.bySkill?.map(({ skill, atoms }) => [skill, atoms])).toEqual([
      ["brightness", 10],
      ["comparison", 10],
    ]);
    expect(formatSummary(summary)).toMatch(/Skills\n======\nbrightness {7}= \d+\.\d\d% \(10 questions\)/);
  });

  it("goes on where it was, and judges a folder alone to the same bytes", async () => {
    const out = join(dir, "run");
    const before = await readFile(join(out, "results.jsonl"), "utf8");
    const copy = join(dir, "copy");
    await cp(out, copy, { recursive: true });
    await rm(join(copy, "samples/two lamps_000001.png"));
    await expect(openImageSet(halves, copy, false)).rejects.toThrow(/00002 has 1 of 2 images/);
    judge.seen = 0;
    await run(copy, 2);
    expect(judge.seen, "the image is the same again, and so is its verdict").toBe(0);
    await rm(join(copy, "results.jsonl"));
    const set = await openImageSet(halves, copy, false);
    const to = { dir: copy, set, out: join(copy, "results.jsonl"), signal: new AbortController().signal };
    await judgeFolder({ benchmark: halves, judge, ...to });
    expect(await readFile(join(copy, "results.jsonl"), "utf8")).toBe(before);
    await writeFile(join(copy, "prompts.jsonl"), '{"prompt":"x","tag":"neither","ask":[]}\n');
    await expect(openImageSet(halves, copy, false)).rejects.toThrow(/prompts\.jsonl:1: /);
  });

  it("is compared by score", async () => {
    const [a, b] = [(await run(join(dir, "run"), 2))!, (await run(join(dir, "more"), 6))!];
    const { overall, pairs } = compareResults(a, b, { benchmark: halves, draws: 100 });
    expect(pairs).toBe(6);
    const gain = (tag: string): number =>
      a.reduce((sum, row, at) => sum + (row.tag === tag ? b[at]!.score! - row.score! : 0), 0) /
      a.filter((row) => row.tag === tag).length;
    expect(overall.newPrompts.estimate).toBeCloseTo((gain("both sides") + gain("one side")) / 2, 12);
    expect(overall.newPrompts.estimate, "more is searched for what the judge asks about").toBeGreaterThan(0);
  });

  it("leaves GenEval in its place in the list", async () => {
    const { stdout } = await runHere(["list", "benchmarks", "--json"]);
    expect(JSON.parse(stdout)[0]).toMatchObject({ name: "geneval", license: "MIT", commercial: "yes" });
    expect((await benchmarkRegistry.load("geneval")).title).toBe("GenEval");
  });

  it("does not go on with another benchmark's folder", async () => {
    const copy = join(dir, "other");
    await cp(join(dir, "run"), copy, { recursive: true });
    const path = join(copy, "evaluation.json");
    await writeFile(path, (await readFile(path, "utf8")).replace('"halves"', '"wholes"'));
    await expect(openImageSet(halves, copy, false)).rejects.toThrow(/holds images of wholes, not of Halves/);
    await expect(run(copy, 2)).rejects.toThrow(/holds another evaluation \(different: benchmark\)/);
  });
});
