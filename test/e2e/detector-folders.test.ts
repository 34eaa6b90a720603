import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { openJudge } from "../../src/assemble/open-judge.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { officialOptions } from "../../src/eval/geneval/rules.ts";
import { loadDetector } from "../../src/inference/vision/detector.ts";

const folder = (name: string): string => resolve(`test/fixtures/models/${name}-tiny`);
const grey = (width: number, height: number): RgbImage => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(128),
});
const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));
const softmax = (logit: number, others: readonly number[]): number =>
  Math.exp(logit) / [logit, ...others].reduce((sum, other) => sum + Math.exp(other), 0);
const zeros = (count: number): number[] => new Array<number>(count).fill(0);

describe("detector folders in transformers.js layout", { timeout: 120_000 }, () => {
  it.each([
    ["detr", "softmax"],
    ["yolos", "softmax"],
    ["rt-detr", "sigmoid"],
  ])("%s: scores by %s, the last class included", async (name, kind) => {
    const detector = await loadDetector(folder(name));
    try {
      const [found] = await detector.detect([grey(64, 64)]);
      const expected =
        kind === "sigmoid"
          ? [
              ["toothbrush", sigmoid(6)],
              ["dog", sigmoid(4)],
              ["cat", sigmoid(1.5)],
              // A query counts under each of its classes.
              ["sheep", sigmoid(1.25)],
            ]
          : [
              ["toothbrush", softmax(14, zeros(91))],
              ["dog", softmax(12, zeros(91))],
              ["cat", softmax(9.5, [9.25, ...zeros(90)])],
            ];
      expect(found!.map(({ label, score }) => [label, score])).toEqual(
        expected.map(([label, score]) => [label, expect.closeTo(score as number, 5)]),
      );
      expect(found!.find(({ label }) => label === "dog")!.box.map(Math.round)).toEqual([0, 0, 32, 64]);
    } finally {
      await detector.dispose();
    }
  });

  // The toothbrush's box is the input's size in units of 100 pixels.
  it.each<[string, [number, number], [number, number]]>([
    ["detr", [100, 100], [32, 32]],
    ["detr", [16, 16], [32, 32]],
    ["detr", [100, 80], [40, 32]],
    ["yolos", [200, 100], [48, 24]],
    ["yolos", [50, 100], [24, 48]],
    ["rt-detr", [200, 100], [64, 64]],
  ])("%s: an image of %j is given to the graph at %j, as Python resizes it", async (name, given, wanted) => {
    const detector = await loadDetector(folder(name));
    try {
      const [found] = await detector.detect([grey(...given)]);
      const [, , right, bottom] = found!.find(({ label }) => label === "toothbrush")!.box;
      expect([right / given[0], bottom / given[1]]).toEqual(
        wanted.map((side) => expect.closeTo(side / 100, 5)),
      );
    } finally {
      await detector.dispose();
    }
  });

  it.each(["detr", "yolos", "rt-detr"])(
    "%s judges under GenEval's names, whatever its label set",
    async (name) => {
      const judge = await openJudge({
        detector: folder(name),
        colorModel: null,
        rules: officialOptions,
      });
      try {
        const [judged] = await judge.judge([
          {
            image: grey(64, 64),
            item: {
              tag: "position",
              include: [
                { class: "cat", count: 1 },
                { class: "dog", count: 1, position: ["left of", 0] },
              ],
              prompt: "a photo of a dog left of a cat",
            },
          },
        ]);
        expect(judged!.reason).toBe("");
      } finally {
        await judge[Symbol.asyncDispose]();
      }
    },
  );
});
