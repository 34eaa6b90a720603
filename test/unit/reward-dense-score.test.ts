import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ColoredDetection, type DenseVerdict, denseScore } from "../../rewards/parts/dense-score.ts";
import { parsePrompt } from "../../rewards/parts/prompt-parser.ts";
import { decide, type GenevalMetadata, keepObjects } from "../../src/eval/geneval/rules.ts";
import { colorNames } from "../../src/eval/geneval/vocabulary.ts";

type Box = ColoredDetection["box"];

function detection(label: string, score: number, box: Box, color = "red", sure = 0.9): ColoredDetection {
  const colors = colorNames.map((name) => (name === color ? sure : (1 - sure) / 9));
  return { label, score, box, colors };
}

const prompts = [
  "a photo of a dog",
  "a photo of a dog and a cat",
  "a photo of three dogs",
  "a photo of a red dog",
  "a photo of a red dog and a blue cat",
  "a photo of a dog left of a cat",
  "two red dogs above a cat",
  "three dogs and two blue cats",
].map(parsePrompt);

/** Metadata beyond GenEval's own prompts: any clauses, relations to any earlier one, limits. */
const anyMetadata = fc
  .record({
    tag: fc.constantFrom("single_object", "two_object", "counting", "colors", "position", "color_attr"),
    include: fc.array(
      fc.record({
        class: fc.constantFrom("dog", "cat", "bus"),
        count: fc.integer({ min: 1, max: 3 }),
        color: fc.option(fc.constantFrom("red", "blue"), { nil: undefined }),
        relation: fc.option(fc.constantFrom("left of", "right of", "above", "below"), { nil: undefined }),
        target: fc.nat(),
      }),
      { minLength: 1, maxLength: 3 },
    ),
    exclude: fc.array(
      fc.record({ class: fc.constantFrom("dog", "cat", "bus"), count: fc.integer({ min: 1, max: 4 }) }),
      { maxLength: 2 },
    ),
  })
  .map(
    ({ tag, include, exclude }): GenevalMetadata => ({
      tag,
      prompt: "any",
      include: include.map(({ relation, target, color, ...clause }, index) => ({
        ...clause,
        ...(color === undefined ? {} : { color }),
        ...(relation === undefined || index === 0 ? {} : { position: [relation, target % index] as const }),
      })),
      exclude,
    }),
  );
const metadatas = fc.oneof(fc.constantFrom(...prompts), anyMetadata);

const boxes = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }), fc.integer({ min: 4, max: 24 }))
  .map(([x, y, side]): Box => [x, y, x + side, y + side]);
const detections = fc.array(
  fc
    .record({
      label: fc.constantFrom("dog", "cat", "bus"),
      score: fc.double({ min: 0.01, max: 1, noNaN: true }),
      box: boxes,
      color: fc.constantFrom("red", "blue", "green"),
      sure: fc.double({ min: 0.2, max: 1, noNaN: true }),
    })
    .map(({ label, score, box, color, sure }) => detection(label, score, box, color, sure)),
  { maxLength: 6 },
);

/** GenEval's verdict, computed without the dense score. */
function ruleOf(metadata: GenevalMetadata, found: readonly ColoredDetection[]): boolean {
  const of = (label: string) => found.filter((d) => d.label === label);
  const rows = Object.fromEntries(
    found.map((d) => [d.label, of(d.label).map((o) => [...o.box, o.score] as const)]),
  );
  const kept = keepObjects(rows, metadata.tag);
  const best = (d: ColoredDetection) =>
    colorNames[Array.from(d.colors).indexOf(Math.max(...Array.from(d.colors)))]!;
  const colors = Object.fromEntries(
    Object.entries(kept).map(([label, objects]) => [label, objects.map((o) => best(of(label)[o.index]!))]),
  );
  return decide(metadata, kept, colors).correct;
}

describe("the dense GenEval score", () => {
  test("lies in [0, 1] and is 1 exactly when the rule passes", () => {
    fc.assert(
      fc.property(metadatas, detections, (metadata, found) => {
        const { score, correct } = denseScore(metadata, found);
        expect(score).toBeGreaterThanOrEqual(0);
        expect(score).toBeLessThanOrEqual(1);
        expect(correct).toBe(ruleOf(metadata, found));
        expect(score === 1).toBe(correct);
      }),
      { numRuns: 2000 },
    );
  });

  test("covers all six tags with prompts that have no metadata", () => {
    expect([...new Set(prompts.map(({ tag }) => tag))].sort()).toEqual(
      ["color_attr", "colors", "counting", "position", "single_object", "two_object"].sort(),
    );
  });

  test("an image that satisfies more conditions always scores higher", () => {
    const satisfied = (verdict: DenseVerdict) => verdict.conditions.filter(({ value }) => value === 1).length;
    fc.assert(
      fc.property(metadatas, detections, detections, (metadata, one, other) => {
        const [a, b] = [denseScore(metadata, one), denseScore(metadata, other)];
        if (satisfied(a) < satisfied(b)) expect(a.score).toBeLessThan(b.score);
        if (satisfied(a) === a.conditions.length) expect(a.correct).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test("a surer object of the wanted class never scores lower while too few are sure", () => {
    const pairs = fc.tuple(
      fc.double({ min: 0.01, max: 0.3, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(pairs, fc.constantFrom(...prompts), ([score, more], metadata) => {
        const dog = (sure: number) => denseScore(metadata, [detection("dog", sure, [0, 0, 10, 10])]).score;
        expect(dog(score + more * (0.999 - score))).toBeGreaterThanOrEqual(dog(score));
      }),
      { numRuns: 500 },
    );
  });

  test("passes and fails with the recorded GenEval vectors", () => {
    const lines = readFileSync(new URL("../fixtures/geneval-vectors.jsonl", import.meta.url), "utf8");
    const rows = lines
      .trim()
      .split("\n")
      .slice(0, 400)
      .map((line) => JSON.parse(line));
    for (const { metadata, detections: byClass, colors, correct } of rows) {
      const kept = keepObjects(byClass, metadata.tag);
      const found = Object.entries(byClass as Record<string, number[][]>).flatMap(([label, list]) =>
        list.map(([x0, y0, x1, y1, score], index) => {
          const rank = (kept[label] ?? []).findIndex((object) => object.index === index);
          return detection(label, score!, [x0!, y0!, x1!, y1!], colors[label]?.[rank] ?? "white");
        }),
      );
      expect(denseScore(metadata, found).score === 1).toBe(correct);
    }
  });

  test("rises with every condition that becomes satisfied", () => {
    const metadata = parsePrompt("a photo of a red dog left of a blue cat");
    const dog = (box: Box, color: string) => detection("dog", 0.8, box, color);
    const cat = detection("cat", 0.8, [40, 20, 60, 40], "blue");
    const stages = [
      [],
      [detection("cat", 0.2, [40, 20, 60, 40], "blue")],
      [cat],
      [cat, detection("dog", 0.25, [40, 24, 60, 44], "green")],
      [cat, dog([40, 24, 60, 44], "green")],
      [cat, dog([0, 20, 20, 40], "green")],
      [cat, dog([0, 20, 20, 40], "red")],
    ];
    const scores = stages.map((found) => denseScore(metadata, found).score);
    expect(scores).toEqual([...scores].sort((a, b) => a - b));
    expect(new Set(scores).size).toBe(scores.length);
    expect([scores[0], scores.at(-1)]).toEqual([0, 1]);
  });

  test("one object too many costs, the surer it is the more", () => {
    const metadata = parsePrompt("a photo of two dogs");
    const dogs = (...sure: number[]) => sure.map((s, i) => detection("dog", s, [20 * i, 0, 20 * i + 10, 10]));
    const score = (...sure: number[]) => denseScore(metadata, dogs(...sure)).score;
    expect(score(0.99, 0.98)).toBe(1);
    expect(score(0.99, 0.98, 0.5)).toBe(1);
    expect(score(0.99, 0.98, 0.91)).toBeLessThan(1);
    expect(score(0.99, 0.98, 0.97)).toBeLessThan(score(0.99, 0.98, 0.91));
    expect(score(0.99, 0.98, 0.97)).toBeGreaterThan(score(0.99));
  });
});
