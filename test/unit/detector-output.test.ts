import { describe, expect, it } from "vitest";
import { readDetections } from "../../src/inference/vision/detector-output.ts";

const labels = ["cat", "dog", "car"];
const image = { width: 200, height: 100 };
const boxes = (...rows: number[][]) => ({ dims: [1, rows.length, 4], data: Float32Array.from(rows.flat()) });
const logits = (...rows: number[][]) => ({
  dims: [1, rows.length, rows[0]!.length],
  data: Float32Array.from(rows.flat()),
});

describe("readDetections", () => {
  it("takes sigmoid models as such, the last class included", () => {
    const found = readDetections(
      {
        logits: logits([0, -9, -9], [-1, 1, -9], [-9, -9, 4]),
        boxes: boxes([0.5, 0.5, 0.2, 0.4], [0.5, 0.5, 1, 1], [0.1, 0.1, 0.4, 0.4]),
        colors: null,
      },
      { modelType: "rt_detr", labels },
      image,
      0.3,
    );
    expect(found.map(({ label, score }) => [label, Number(score.toFixed(2))])).toEqual([
      ["car", 0.98],
      ["dog", 0.73],
      ["cat", 0.5],
    ]);
    expect(found[2]!.box.map((value) => Math.round(value))).toEqual([80, 30, 120, 70]);
  });

  it("takes the last column of softmax models as no object", () => {
    const found = readDetections(
      {
        logits: logits([2, 0, 0, 0], [0, 0, 0, 6]),
        boxes: boxes([0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]),
        colors: null,
      },
      { modelType: "yolos", labels },
      image,
      0.05,
    );
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ label: "cat" });
    expect(found[0]!.score).toBeCloseTo(Math.exp(2) / (Math.exp(2) + 3), 6);
  });

  it("cuts boxes at the image and gives colour probabilities", () => {
    const [found] = readDetections(
      {
        logits: logits([9, 0, 0, 0]),
        boxes: boxes([0, 0.9, 0.5, 0.5]),
        colors: { dims: [1, 1, 2], data: Float32Array.of(0, Math.log(3)) },
      },
      { modelType: "yolos", labels },
      image,
      0.5,
    );
    expect(found!.box.map((value) => Math.round(value))).toEqual([0, 65, 50, 100]);
    expect(found!.colors![0]).toBeCloseTo(0.25, 6);
    expect(found!.colors![1]).toBeCloseTo(0.75, 6);
  });
});
