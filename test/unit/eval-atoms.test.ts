import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { allOf, arithmeticMean, bySkill, dependent, geometricMean } from "../../src/core/atoms.ts";
import type { Atom } from "../../src/core/benchmark.ts";
import { atomsOf } from "../../src/eval/geneval/atoms.ts";
import { judgeDetections } from "../../src/eval/geneval/rules.ts";

const atom = (p: number, parent: readonly number[] = [], skill = "object"): Atom => ({
  ...{ question: "q", expected: "yes", p, skill, parent },
});

describe("atoms", () => {
  it("count nothing where what they depend on does not hold, however far up", () => {
    const atoms = [atom(0.4), atom(0.9, [0]), atom(0.9, [1]), atom(0.7), atom(0.6, [3, 2])];
    expect(dependent(atoms)).toEqual([0.4, 0, 0, 0.7, 0]);
    expect(dependent([atom(0.8, [1]), atom(0.2)]), "parents may come later").toEqual([0, 0.2]);
    expect(arithmeticMean(atoms)).toBeCloseTo(1.1 / 5, 12);
  });

  it("have the means of Soft-TIFA", () => {
    const atoms = [atom(0.5), atom(1), atom(0.25)];
    expect(arithmeticMean(atoms)).toBeCloseTo(1.75 / 3, 12);
    expect(geometricMean(atoms)).toBeCloseTo(0.5, 12);
    expect(geometricMean([...atoms, atom(0)])).toBe(0);
    expect([allOf(atoms), allOf(atoms.slice(0, 2))]).toEqual([0, 1]);
  });

  it("are tabulated by skill over images", () => {
    const images = [[atom(1, [], "color"), atom(0)], [atom(0.5, [], "color")]];
    expect([...bySkill(images)]).toEqual([
      ["color", { atoms: 2, mean: 0.75 }],
      ["object", { atoms: 1, mean: 0 }],
    ]);
  });

  it("must be answered, and by probabilities", () => {
    expect(() => allOf([])).toThrow(/without questions/);
    for (const p of [Number.NaN, -0.1, 1.1]) expect(() => allOf([atom(p)])).toThrow(/not a probability/);
    expect(() => allOf([atom(1, [1]), atom(1, [0])])).toThrow(/depends on itself/);
    expect(() => allOf([atom(1, [7])])).toThrow(/atom 7 of 1 is missing/);
  });
});

describe("GenEval's atoms", () => {
  it("hold together exactly when the official rule does", () => {
    const lines = readFileSync(new URL("../fixtures/geneval-vectors.jsonl", import.meta.url), "utf8");
    const seen = { right: 0, wrong: 0 };
    for (const line of lines.trim().split("\n")) {
      const { metadata, detections, colors, correct } = JSON.parse(line);
      const atoms = atomsOf(metadata, judgeDetections(metadata, detections, colors).clauses);
      expect(allOf(atoms), line).toBe(Number(correct));
      seen[correct ? "right" : "wrong"]++;
    }
    expect(Math.min(seen.right, seen.wrong)).toBeGreaterThan(40);
  });

  it("ask for number, colour and place in turn", () => {
    const metadata = {
      ...{ tag: "position", prompt: "p" },
      include: [
        { class: "cat", count: 1, color: "red" },
        { class: "dog", count: 2, position: ["left of", 0] as const },
      ],
      exclude: [{ class: "cat", count: 2 }],
    };
    const { clauses } = judgeDetections(metadata, { cat: [[0, 0, 9, 9, 0.9]] }, { cat: ["red"] });
    expect(
      atomsOf(metadata, clauses).map(({ question, expected, p, skill, parent }) => [
        ...[question, expected, p, skill, parent],
      ]),
    ).toEqual([
      ["How many cat?", "at least 1", 1, "object", []],
      ["What color is the cat?", "red", 1, "color", [0]],
      ["How many dog?", "at least 2", 0, "count", []],
      ["Where is the dog from the cat?", "left of", 0, "position", [2, 1]],
      ["How many cat?", "fewer than 2", 1, "count", []],
    ]);
  });
});
