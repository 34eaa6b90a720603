import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parsePrompt } from "../../rewards/parts/prompt-parser.ts";
import { parseOptions } from "../../src/cli/geneval/judge-flags.ts";
import type { Judge } from "../../src/core/benchmark.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { geneval } from "../../src/eval/geneval/benchmark.ts";
import { genevalClass } from "../../src/eval/geneval/class-aliases.ts";
import { inOwnWords } from "../../src/eval/geneval/closed-vocabulary.ts";
import { clipColors, detectorColors } from "../../src/eval/geneval/color-classifiers.ts";
import { cropObject } from "../../src/eval/geneval/crop.ts";
import { createJudge } from "../../src/eval/geneval/judge.ts";
import { judgeDetectionsFile } from "../../src/eval/geneval/judge-file.ts";
import type { DetectedObject, Detector } from "../../src/eval/geneval/judge-ports.ts";
import { parseMetadata } from "../../src/eval/geneval/metadata.ts";
import { type GenevalMetadata, officialOptions } from "../../src/eval/geneval/rules.ts";
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
    expect(() => parseOptions(["constructor=1"])).toThrow(/unknown option/);
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

describe("folders of other programs", () => {
  let dir: string;
  const dog = { tag: "single_object", include: [{ class: "dog", count: 1 }], prompt: "a photo of a dog" };
  const red = filled(8, 8, [255, 0, 0]);
  const put = async (name: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), content);
  };
  const encoded = async (format: "png" | "jpeg" | "webp"): Promise<Buffer> =>
    sharp(red.data, { raw: { width: 8, height: 8, channels: 3 } })
      .toFormat(format)
      .toBuffer();
  const judged = async (allowPartial = false) => {
    const set = await openImageSet(geneval, dir, allowPartial);
    const judge = createJudge({ detector: redDogDetector(), colors: detectorColors() });
    const out = join(dir, "verdicts.jsonl");
    const rows = await judgeFolder({
      ...{ benchmark: geneval, dir, set, out, judge, signal: new AbortController().signal },
    });
    return { rows: rows.map(({ filename, correct }) => [filename, correct]), ignored: set.ignored };
  };

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "tts-var-foreign-"));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it("are read whatever the kind of image, and what is not read is named", async () => {
    await put("00000/metadata.jsonl", `\uFEFF${JSON.stringify(dog)}`);
    await put("00000/samples/image_0.png", await encoded("png"));
    await put("00000/samples/1.JPG", await encoded("jpeg"));
    await put("00000/samples/0002.webp", await encoded("webp"));
    await put("00000/samples/0003.PNG", await encoded("png"));
    await put("00000/samples/0003.png", await encoded("png"));
    await put("00000/samples/notes.txt", "x");
    await put("00000/0009.png", await encoded("png"));
    await put("more/0000.png", await encoded("png"));
    await mkdir(join(dir, "00000/samples/0004.png"));
    await symlink("nowhere", join(dir, "00000/samples/0005.png"));
    expect(await judged()).toEqual({
      rows: [
        ["00000/samples/image_0.png", true],
        ["00000/samples/1.JPG", true],
        ["00000/samples/0002.webp", true],
        ["00000/samples/0003.png", true],
      ],
      ignored: [
        "more (not in the folder of a prompt)",
        "00000/0009.png (beside the folder 00000/samples, which counts)",
        "00000/samples/0004.png (not a file)",
        "00000/samples/0005.png (a link to nothing)",
        "00000/samples/0003.PNG (the same number as 00000/samples/0003.png)",
        "00000/samples/notes.txt (not an image named by its number)",
      ],
    });
  });

  it("may have no folder of samples, or be flat beside a list of prompts", async () => {
    await put("00000/metadata.jsonl", JSON.stringify(dog));
    await put("00000/0000.png", await encoded("png"));
    await put("00000/grid.png", await encoded("png"));
    expect(await judged()).toEqual({ rows: [["00000/0000.png", true]], ignored: [] });
    await rm(join(dir, "00000"), { recursive: true });
    await put("00000.png", await encoded("png"));
    await put("00002.png", await encoded("png"));
    await expect(judged()).rejects.toThrow(/its 2 images need prompts\.jsonl beside them/);
    await put("evaluation_metadata.jsonl", `${JSON.stringify(dog)}\n`);
    expect(await judged()).toEqual({
      rows: [["00000.png", true]],
      ignored: ["00002.png (evaluation_metadata.jsonl has 1 lines only)"],
    });
  });

  it("never succeed without an image, whatever is allowed", async () => {
    await put("00000/metadata.jsonl", JSON.stringify(dog));
    await expect(judged(true)).rejects.toThrow(/holds no image to judge; GenEval has them at 00000\/samples/);
    await put("00000/samples/final.png", await encoded("png"));
    await expect(judged(true)).rejects.toThrow(/Not read: 00000\/samples\/final\.png \(not an image named/);
  });

  it("may be incomplete without being ours to run again", async () => {
    for (const folder of ["00000", "00001"])
      await put(`${folder}/metadata.jsonl`, JSON.stringify({ ...dog, prompt: folder }));
    await put("00000/samples/0000.png", await encoded("png"));
    await expect(judged()).rejects.toThrow(/00001 has 0 of 1 images\nadd the missing images, or pass/);
  });

  it.each([
    ['{"model":"x","score":1}', /schemaVersion/],
    ["null", /file: /],
    ['{"schemaVersion":1,"prompts":0}', /configHash/],
  ])("with another program's evaluation.json %s are refused with a sentence", async (content, message) => {
    await put("00000/metadata.jsonl", JSON.stringify(dog));
    await put("00000/samples/0000.png", await encoded("png"));
    await put("evaluation.json", content);
    await expect(judged()).rejects.toThrow(/is not the record of an evaluation by tts-var/);
    await expect(judged()).rejects.toThrow(message);
    await expect(judged()).rejects.toMatchObject({ code: "EVAL_DATA" });
  });
});

describe("GenEval's closed vocabulary", () => {
  const row = (include: unknown, exclude?: unknown): unknown => ({
    ...{ tag: "colors", include, prompt: "p" },
    ...(exclude ? { exclude } : {}),
  });
  const dog = { class: "dog", count: 1 };

  it.each<[string, unknown, RegExp]>([
    [
      "class",
      row([{ ...dog, class: "dgo" }]),
      /m:1: include\.0\.class: .* no class "dgo".*nearest one is "dog"/,
    ],
    ["class", row([{ ...dog, class: "constructor" }]), /no class "constructor"/],
    ["class", row([{ ...dog, class: "__proto__" }]), /no class "__proto__"/],
    [
      "excluded class",
      row([dog], [{ class: "catt", count: 1 }]),
      /exclude\.0\.class: .*nearest one is "cat"/,
    ],
    ["near other name", row([{ ...dog, class: "remot" }]), /nearest one is "tv remote"/],
    ["colour", row([{ ...dog, color: "grey" }]), /include\.0\.color: .*"grey"; the nearest one is "green"/],
    [
      "relation",
      row([dog, { class: "cat", count: 1, position: ["leftof", 0] }]),
      /include\.1\.position: .*"leftof"; the nearest one is "left of"/,
    ],
    [
      "tag near the one with a threshold",
      { tag: "Counting", include: [dog], prompt: "p" },
      /did you mean "counting"/,
    ],
    ["empty include", row([]), /include names no object/],
    ["missing include", row(undefined, [{ class: "dog", count: 1 }]), /include names no object/],
  ])("refuses an unknown %s", (_what, value, message) => {
    expect(() => parseMetadata(value, "m:1")).toThrow(message);
    expect(() => parseMetadata(value, "m:1")).toThrow(expect.objectContaining({ code: "EVAL_DATA" }));
  });

  it("takes other names for the same classes, and keeps the row as it was written", () => {
    const written = row([
      { count: 1, class: "mouse" },
      { class: "Sofa", count: 1, color: "Red" },
    ]);
    expect(parseMetadata(written, "m")).toBe(written);
    expect(inOwnWords(written as GenevalMetadata, "m").include).toEqual([
      { class: "computer mouse", count: 1 },
      { class: "couch", count: 1, color: "red" },
    ]);
  });

  it("means the same in recorded detections, folders and prompts", async () => {
    const path = join(await mkdtemp(join(tmpdir(), "tts-var-names-")), "r.jsonl");
    for (const [asked, found] of [
      ["mouse", "computer mouse"],
      ["computer mouse", "mouse"],
    ] as const) {
      const metadata = { tag: "single_object", include: [{ class: asked, count: 1 }], prompt: "p" };
      await writeFile(path, JSON.stringify({ metadata, detections: { [found]: [[0, 0, 9, 9, 0.9]] } }));
      expect((await judgeDetectionsFile(path))[0]!.verdict.correct, `${asked} in ${found}`).toBe(true);
      expect(parsePrompt(`a photo of a ${asked}`).include).toEqual([{ class: "computer mouse", count: 1 }]);
      const detector: Detector = {
        ...redDogDetector(),
        detect: async () => [[{ label: genevalClass(found)!, score: 0.9, box: [0, 0, 9, 9] }]],
      };
      const judge = createJudge({ detector, colors: detectorColors() });
      const [verdict] = await judge.judge([{ image: filled(9, 9, [0, 0, 0]), item: metadata }]);
      expect(verdict!.correct).toBe(true);
    }
    const metadata = { tag: "colors", include: [{ ...dog, color: "red" }], prompt: "p" };
    const box = [[0, 0, 9, 9, 0.9]];
    for (const [line, message] of [
      [{ detections: { dgo: box } }, /r\.jsonl:1: detections: .*"dgo".*"dog"/],
      [{ detections: { mouse: box, "computer mouse": box } }, /"computer mouse" is there under two names/],
      [{ detections: { dog: box }, colors: { dog: ["gray"] } }, /colors\.dog: .*no colour "gray"/],
    ] as const) {
      await writeFile(path, JSON.stringify({ metadata, ...line }));
      await expect(judgeDetectionsFile(path)).rejects.toThrow(message);
    }
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
