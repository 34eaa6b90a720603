import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Box, inclusiveIou, relationsOf } from "../../src/eval/geneval/geometry.ts";
import {
  type DetectionRow,
  type GenevalMetadata,
  judgeDetections,
  keepObjects,
  objectsToColor,
  officialOptions,
} from "../../src/eval/geneval/rules.ts";

const vectorsFile = new URL("../fixtures/geneval-vectors.jsonl", import.meta.url);
const box = (score: number, at: readonly [number, number] = [0, 0], side = 10): DetectionRow => [
  at[0],
  at[1],
  at[0] + side,
  at[1] + side,
  score,
];
const want = (
  tag: string,
  include: GenevalMetadata["include"],
  exclude?: GenevalMetadata["exclude"],
): GenevalMetadata => ({
  tag,
  prompt: `test of ${tag}`,
  include: include ?? [],
  ...(exclude ? { exclude } : {}),
});

describe("GenEval's rules", () => {
  it("agrees with all recorded verdicts, reasons included", () => {
    const lines = readFileSync(vectorsFile, "utf8").trim().split("\n");
    expect(lines).toHaveLength(200);
    lines.forEach((line, index) => {
      const { metadata, detections, colors, correct, reason } = JSON.parse(line);
      const verdict = judgeDetections(metadata, detections, colors);
      expect({ index, correct: verdict.correct, reason: verdict.reason }).toEqual({ index, correct, reason });
    });
  });

  it.each([
    ["single_object", 0.3, false],
    ["single_object", 0.30001, true],
    ["counting", 0.9, false],
    ["counting", 0.90001, true],
    ["counting", 0.5, false],
  ])("thresholds are strict: %s at %d", (tag, score, correct) => {
    const metadata = want(tag, [{ class: "dog", count: 1 }]);
    expect(judgeDetections(metadata, { dog: [box(score)] }, {}).correct).toBe(correct);
  });

  it("keeps at most 16 objects per class, the best, before any other rule", () => {
    const rows = Array.from({ length: 20 }, (_, index) => box(0.91 + index / 1000));
    const kept = keepObjects({ dog: rows }, "counting");
    expect(kept.dog?.map((object) => object.index)).toEqual(Array.from({ length: 16 }, (_, i) => 19 - i));
    const metadata = want("counting", [], [{ class: "dog", count: 17 }]);
    expect(judgeDetections(metadata, { dog: rows }, {}).correct).toBe(true);
  });

  it("suppresses no overlaps unless asked to", () => {
    const rows = [box(0.99), box(0.98, [1, 0])];
    expect(keepObjects({ dog: rows }, "counting").dog).toHaveLength(2);
    const apart = keepObjects({ dog: rows }, "counting", { ...officialOptions, maxOverlap: 0.5 });
    expect(apart.dog?.map((object) => object.score)).toEqual([0.99]);
    // 110 of 121 + 121 - 110 inclusive pixels are shared.
    expect(inclusiveIou([0, 0, 10, 10], [1, 0, 11, 10])).toBeCloseTo(110 / 132, 12);
    const exact = keepObjects({ dog: rows }, "counting", { ...officialOptions, maxOverlap: 110 / 132 });
    expect(exact.dog, "an overlap equal to the limit is dropped").toHaveLength(1);
  });

  it("accepts extra objects outside counting", () => {
    const metadata = want("two_object", [
      { class: "dog", count: 1 },
      { class: "cat", count: 1 },
    ]);
    const detections = { dog: [box(0.9), box(0.8)], cat: [box(0.31)] };
    expect(judgeDetections(metadata, detections, {}).correct).toBe(true);
  });

  it("counts exactly by excluding n + 1", () => {
    const metadata = want("counting", [{ class: "dog", count: 2 }], [{ class: "dog", count: 3 }]);
    const dogs = (count: number) => ({ dog: Array.from({ length: count }, () => box(0.95)) });
    expect(judgeDetections(metadata, dogs(1), {}).reason).toBe("expected dog>=2, found 1");
    expect(judgeDetections(metadata, dogs(2), {}).correct).toBe(true);
    expect(judgeDetections(metadata, dogs(3), {}).reason).toBe("expected dog<3, found 3");
  });

  it("judges colour on the best `count` objects only", () => {
    const metadata = want("colors", [{ class: "dog", count: 1, color: "red" }]);
    const detections = { dog: [box(0.5), box(0.9)] };
    const kept = keepObjects(detections, "colors");
    expect(
      objectsToColor(metadata, kept)
        .get("dog")
        ?.map((object) => object.index),
    ).toEqual([1]);
    expect(judgeDetections(metadata, detections, { dog: ["blue", "red"] }).reason).toBe(
      "expected red dog>=1, found 0 red; and 1 blue",
    );
    expect(judgeDetections(metadata, detections, { dog: ["red", "blue"] }).correct).toBe(true);
    expect(() => judgeDetections(metadata, detections, {})).toThrow(/colours of the 1 best kept "dog"/);
  });

  it("needs every pair in the relation, and a matched reference", () => {
    const metadata = want("position", [
      { class: "cat", count: 1 },
      { class: "dog", count: 2, position: ["left of", 0] },
    ]);
    const cat = [box(0.9, [100, 0])];
    const left = box(0.9, [0, 0]);
    const right = box(0.8, [200, 0]);
    expect(judgeDetections(metadata, { cat, dog: [left, left] }, {}).correct).toBe(true);
    const split = judgeDetections(metadata, { cat, dog: [left, right] }, {});
    expect(split.reason).toBe("expected dog left of target, found right of target");
    expect(split.clauses[1]).toMatchObject({ related: { held: 1, pairs: 2 }, matched: false });
    expect(judgeDetections(metadata, { dog: [left, left] }, {}).reason).toBe(
      "expected cat>=1, found 0\nno target for dog to be left of",
    );
    expect(judgeDetections(metadata, { cat, dog: [left] }, {}).reason).toBe("expected dog>=2, found 1");
  });

  it("position: diagonals hold two relations, strong overlap none", () => {
    const at = (x: number, y: number): Box => [x, y, x + 10, y + 10];
    expect(relationsOf(at(100, 100), at(0, 0), 0.1)).toEqual(["right of", "below"]);
    expect(relationsOf(at(0, 0), at(0, 100), 0.1)).toEqual(["above"]);
    expect(relationsOf(at(0, 0), at(1.9, 1.9), 0.1)).toEqual([]);
    expect(relationsOf(at(0, 0), at(0, 0), 0.1)).toEqual([]);
    // Offset 3 shortened by 2 to 1: a third of the unshortened length is too little; offset 5 leaves 3/5.
    expect(relationsOf(at(3, 0), at(0, 0), 0.1)).toEqual([]);
    expect(relationsOf(at(5, 0), at(0, 0), 0.1)).toEqual(["right of"]);
    expect(relationsOf(at(4, 0), at(0, 0), 0.1), "exactly a half is not enough").toEqual([]);
  });

  it("a failed colour leaves the clause unmatched as a reference", () => {
    const metadata = want("position", [
      { class: "cat", count: 1, color: "red" },
      { class: "dog", count: 1, position: ["left of", 0] },
    ]);
    const detections = { cat: [box(0.9, [100, 0])], dog: [box(0.9)] };
    expect(judgeDetections(metadata, detections, { cat: ["blue"] }).reason).toContain("no target for dog");
    expect(judgeDetections(metadata, detections, { cat: ["red"] }).correct).toBe(true);
  });
});
