import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseOptions } from "../../src/cli/geneval/judge-flags.ts";
import type { Judge } from "../../src/core/benchmark.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { geneval } from "../../src/eval/geneval/benchmark.ts";
import { genevalClass } from "../../src/eval/geneval/class-aliases.ts";
import { clipColors, detectorColors } from "../../src/eval/geneval/color-classifiers.ts";
import { cropObject } from "../../src/eval/geneval/crop.ts";
import { createJudge } from "../../src/eval/geneval/judge.ts";
import { judgeDetectionsFile } from "../../src/eval/geneval/judge-file.ts";
import type { DetectedObject, Detector } from "../../src/eval/geneval/judge-ports.ts";
import { officialOptions } from "../../src/eval/geneval/rules.ts";
import { classNames, colorNames } from "../../src/eval/geneval/vocabulary.ts";
import { openImageSet } from "../../src/eval/image-set.ts";
import { judgeFolder } from "../../src/eval/judge-folder.ts";
import { readResults } from "../../src/eval/results.ts";
import { encodePng } from "../../src/io/png.ts";

const filled = (width: number, height: number, rgb: readonly number[]): RgbImage => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, at) => rgb[at % 3]!),
});
const oneHot = (color: string): Float32Array =>
  Float32Array.from(colorNames, (name) => (name === color ? 0.91 : 0.01));

/** A detector that reads its findings off the image: red share above one half is a red dog, otherwise a weak cat. */
function redDogDetector(): Detector & { seen: number } {
  const detector = {
    modelId: "red-dog@0123456789abcdef",
    flops: 5,
    seen: 0,
    async detect(images: readonly RgbImage[]): Promise<DetectedObject[][]> {
      detector.seen += images.length;
      return images.map(({ data, width, height }) => [
        data[0]! > 127
          ? { label: "dog", score: 0.8, box: [0, 0, width, height], colors: oneHot("red") }
          : { label: "cat", score: 0.3, box: [0, 0, width, height], colors: oneHot("black") },
      ]);
    },
    async [Symbol.asyncDispose]() {},
  };
  return detector;
}

describe("crops", () => {
  const image = { width: 4, height: 3, data: Uint8Array.from({ length: 36 }, (_, at) => at) };

  it("rounds half to even, excludes the last pixel, and is black outside", () => {
    const crop = cropObject(image, { box: [0.5, 1.5, 2.5, 2.6] });
    expect([crop.width, crop.height]).toEqual([2, 1]);
    expect([...crop.data]).toEqual([24, 25, 26, 27, 28, 29]);
    const outside = cropObject(image, { box: [3, 2, 5, 3] });
    expect([...outside.data]).toEqual([33, 34, 35, 0, 0, 0]);
  });

  it("puts #999 where the mask is not", () => {
    const mask = { width: 4, height: 3, data: Uint8Array.from({ length: 12 }, (_, at) => Number(at === 5)) };
    const crop = cropObject(image, { box: [1, 1, 3, 2], mask });
    expect([...crop.data]).toEqual([15, 16, 17, 153, 153, 153]);
    const original = cropObject(image, { box: [1, 1, 3, 2], mask }, { background: null, cut: true });
    expect([...original.data]).toEqual([15, 16, 17, 18, 19, 20]);
    const whole = cropObject(image, { box: [1, 1, 3, 2], mask }, { background: [7, 8, 9], cut: false });
    expect([whole.width, whole.height]).toEqual([4, 3]);
    expect([...whole.data.subarray(12, 21)]).toEqual([7, 8, 9, 15, 16, 17, 7, 8, 9]);
  });
});

describe("colours", () => {
  it("come from GenEval's three templates, averaged as unit vectors", async () => {
    const asked: string[][] = [];
    const dimension = colorNames.length;
    const classifier = clipColors("clip@1", {
      // A text's vector points at its colour, with a length that must not matter.
      async encodeText(prompts) {
        asked.push([...prompts]);
        const data = new Float32Array(prompts.length * dimension);
        prompts.forEach((prompt, row) => {
          const color = colorNames.findIndex((name) => prompt.includes(` ${name}`));
          data[row * dimension + color] = 1 + row;
        });
        return { dims: [prompts.length, dimension], data };
      },
      // An image's vector points at the colour whose number its first pixel holds.
      async encodeImages(images) {
        const data = new Float32Array(images.length * dimension);
        images.forEach((image, row) => {
          data[row * dimension + image.data[0]!] = 7;
        });
        return { dims: [images.length, dimension], data };
      },
      async [Symbol.asyncDispose]() {},
    });
    const objects = [1, 2].map((score): DetectedObject => ({ label: "cup", score, box: [0, 0, 2, 2] }));
    expect(await classifier.classify(filled(2, 2, [4, 4, 4]), objects, "cup")).toEqual(["blue", "blue"]);
    expect(await classifier.classify(filled(2, 2, [9, 9, 9]), objects.slice(1), "cup")).toEqual(["white"]);
    expect(asked, "texts are encoded once per class").toHaveLength(1);
    expect(asked[0]!.slice(0, 3)).toEqual([
      "a photo of a red cup",
      "a photo of a red-colored cup",
      "a photo of a red object",
    ]);
  });

  it("say in the label what differs from the official crops", () => {
    const clip = {} as Parameters<typeof clipColors>[1];
    const label = (...given: string[]) => clipColors("clip@1", clip, parseOptions(given).crop).id;
    expect(label()).toBe("clip@1");
    expect(label("bgcolor=#999", "crop=1")).toBe("clip@1");
    expect(label("bgcolor=#0aF", "crop=0")).toBe("clip@1, bgcolor=#00aaff, crop=0");
    expect(label("bgcolor=original")).toBe("clip@1, bgcolor=original");
    expect(() => parseOptions(["bgcolor=grey"])).toThrow(/must be a colour/);
    expect(() => parseOptions(["crop=yes"])).toThrow(/must be 0 or 1/);
    expect(() => parseOptions(["max_overlaps=1"])).toThrow(/did you mean "max_overlap"/);
    expect(parseOptions(["threshold=0.25", "max_overlap=0.5"]).rules).toEqual({
      ...officialOptions,
      threshold: 0.25,
      maxOverlap: 0.5,
    });
  });

  it("need a colour head or a colour model", async () => {
    const object: DetectedObject = { label: "cup", score: 1, box: [0, 0, 2, 2] };
    await expect(detectorColors().classify(filled(2, 2, [0, 0, 0]), [object], "cup")).rejects.toThrow(
      /--color-model/,
    );
  });
});

describe("class names of other label sets", () => {
  it("cover COCO and VOC spellings and nothing else", () => {
    const coco = classNames.map((name) => name.replace(/^(computer|tv) (mouse|remote|keyboard)$/, "$2"));
    expect(coco.filter((name) => !classNames.includes(name))).toEqual(["mouse", "remote", "keyboard"]);
    expect(coco.map(genevalClass)).toEqual(classNames);
    expect(["motorbike", "sofa", "pottedplant", "TVmonitor"].map(genevalClass)).toEqual([
      "motorcycle",
      "couch",
      "potted plant",
      "tv",
    ]);
    expect([genevalClass("N/A"), genevalClass("wall-brick")]).toEqual([null, null]);
  });
});

describe("judging a folder", () => {
  let dir: string;
  let detector: ReturnType<typeof redDogDetector>;
  let judge: Judge;
  const out = (): string => join(dir, "results.jsonl");
  const run = async (allowPartial = false) => {
    const set = await openImageSet(geneval, dir, allowPartial);
    return judgeFolder({
      benchmark: geneval,
      dir,
      set,
      out: out(),
      judge,
      signal: new AbortController().signal,
    });
  };

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tts-var-judge-"));
  });
  beforeEach(async () => {
    await rm(dir, { recursive: true, force: true });
    detector = redDogDetector();
    judge = createJudge({ detector, colors: detectorColors() });
    const rows = [
      { tag: "single_object", include: [{ class: "dog", count: 1 }], prompt: "a photo of a dog" },
      {
        tag: "colors",
        include: [{ class: "dog", count: 1, color: "blue" }],
        prompt: "a photo of a blue dog",
      },
    ];
    for (const [index, row] of rows.entries()) {
      await mkdir(join(dir, `0000${index}/samples`), { recursive: true });
      await writeFile(join(dir, `0000${index}/metadata.jsonl`), JSON.stringify(row));
      await writeFile(join(dir, `0000${index}/samples/0000.png`), await encodePng(filled(8, 8, [255, 0, 0])));
      await writeFile(join(dir, `0000${index}/samples/00001.png`), await encodePng(filled(8, 8, [0, 0, 0])));
      await writeFile(join(dir, `0000${index}/samples/notes.txt`), "not an image");
    }
    await mkdir(join(dir, "not-a-prompt"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it("writes official rows, sorted, with the judge in each", async () => {
    const rows = await run();
    expect(rows.map(({ filename, correct, reason }) => [filename, correct, reason])).toEqual([
      ["00000/samples/0000.png", true, ""],
      ["00000/samples/00001.png", false, "expected dog>=1, found 0"],
      ["00001/samples/0000.png", false, "expected blue dog>=1, found 0 blue; and 1 red"],
      ["00001/samples/00001.png", false, "expected dog>=1, found 0"],
    ]);
    expect(rows[0]).toMatchObject({
      judge: "red-dog@01234567",
      expected: 4,
      details: { dog: [[0, 0, 8, 8, 0.8]] },
    });
    expect(rows[1]!.details, "a score of exactly 0.3 does not count").toEqual({});
    expect((await readResults(out())).rows).toEqual(rows);
  });

  it("goes on after an interruption, also with a torn line, and judges nothing twice", async () => {
    await run();
    const lines = (await readFile(out(), "utf8")).split("\n");
    await rm(out());
    await writeFile(`${out()}.partial`, `${lines[0]}\n${lines[2]}\n${lines[1]!.slice(0, 30)}`);
    detector.seen = 0;
    await run();
    expect(detector.seen).toBe(2);
    expect((await readFile(out(), "utf8")).split("\n")).toEqual(lines);
    await expect(readFile(`${out()}.partial`)).rejects.toThrow(/ENOENT/);
  });

  it("judges an image again when it, or the judge, has changed", async () => {
    await run();
    await writeFile(join(dir, "00000/samples/00001.png"), await encodePng(filled(8, 8, [200, 0, 0])));
    detector.seen = 0;
    expect((await run())[1]!.correct).toBe(true);
    expect(detector.seen).toBe(1);
    judge = createJudge({
      detector,
      colors: detectorColors(),
      rules: { ...officialOptions, threshold: 0.9 },
    });
    expect((await run())[0]).toMatchObject({ correct: false, judge: "red-dog@01234567, threshold=0.9" });
  });

  it("names what is missing or damaged", async () => {
    await rm(join(dir, "00001/samples/00001.png"));
    await expect(run()).rejects.toMatchObject({
      code: "EVAL_PARTIAL",
      message: expect.stringContaining("00001 has 1 of 2 images"),
    });
    expect(await run(true)).toHaveLength(3);
    await writeFile(join(dir, "00001/samples/00001.png"), "no picture");
    await expect(run()).rejects.toThrow(/00001\/samples\/00001\.png: not a readable image/);
    await mkdir(join(dir, "00000/records"));
    await writeFile(join(dir, "00000/records/0000.json"), '{"schemaVer');
    await expect(run()).rejects.toThrow(/00000\/records\/0000\.json is damaged/);
    await rm(join(dir, "00000/metadata.jsonl"));
    await expect(run()).rejects.toThrow(/00000\/metadata\.jsonl: must hold one GenEval metadata object/);
    await rm(join(dir, "00000"), { recursive: true });
    await expect(run()).rejects.toThrow(/00000 has 0 of 2 images/);
  });
});

describe("recorded detections", () => {
  it("names bad lines by number", async () => {
    const path = join(await mkdtemp(join(tmpdir(), "tts-var-recorded-")), "r.jsonl");
    const good = {
      metadata: { tag: "colors", include: [{ class: "dog", count: 1, color: "red" }], prompt: "p" },
      detections: { dog: [[0, 0, 1, 1, 0.5]] },
      colors: { dog: ["red"] },
      note: 7,
    };
    const write = (...rows: unknown[]) =>
      writeFile(path, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
    await write(good, { ...good, colors: { dog: ["blue"] } });
    const judged = await judgeDetectionsFile(path);
    expect(judged.map(({ row }) => row)).toEqual([
      { ...good, correct: true, reason: "" },
      {
        ...good,
        colors: { dog: ["blue"] },
        correct: false,
        reason: "expected red dog>=1, found 0 red; and 1 blue",
      },
    ]);
    await write(good, `${JSON.stringify(good).replace("0.5", "NaN")}`);
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: not JSON/);
    await write(good, `${JSON.stringify(good).replace("0.5", "1e999")}`);
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: detections\.dog\.0\.4/);
    await write(good, { metadata: good.metadata });
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: detections/);
    await write();
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/holds no detections/);
    await write(good, '{"metadata"');
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: not JSON/);
    await write(good, { ...good, detections: { dog: [[0, 0, 1, 1]] } });
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: detections\.dog\.0/);
    await write(good, { ...good, colors: {} });
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:2: .*colours of the 1 best kept "dog"/);
    await write({ ...good, metadata: {} });
    await expect(judgeDetectionsFile(path)).rejects.toThrow(/r\.jsonl:1: not a GenEval metadata row; tag/);
  });
});
