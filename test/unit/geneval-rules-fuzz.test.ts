import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type DetectionsByClass,
  type GenevalMetadata,
  judgeDetections,
  officialOptions,
  type RuleOptions,
} from "../../src/eval/geneval/rules.ts";

/**
 * The rules once more, line by line as GenEval's Python has them (arrays, indices, sets), sharing no code with ours:
 * both are compared on random images.
 */
const python = {
  argsortReversed(scores: readonly number[]): number[] {
    const order = scores.map((_, index) => index);
    order.sort((i, j) => (scores[i]! === scores[j]! ? i - j : scores[i]! < scores[j]! ? -1 : 1));
    return order.reverse();
  },

  computeIou(a: readonly number[], b: readonly number[]): number {
    const area = (x: readonly number[]) => Math.max(x[2]! - x[0]! + 1, 0) * Math.max(x[3]! - x[1]! + 1, 0);
    const inner = [
      Math.max(a[0]!, b[0]!),
      Math.max(a[1]!, b[1]!),
      Math.min(a[2]!, b[2]!),
      Math.min(a[3]!, b[3]!),
    ];
    const iArea = area(inner);
    const uArea = area(a) + area(b) - iArea;
    return uArea ? iArea / uArea : 0;
  },

  relativePosition(a: readonly number[], b: readonly number[], threshold: number): Set<string> {
    const axes = [0, 1].map((axis) => {
      const [lowA, highA, lowB, highB] = [a[axis]!, a[axis + 2]!, b[axis]!, b[axis + 2]!];
      const offset = (lowA + highA) / 2 - (lowB + highB) / 2;
      const dim = Math.abs(highA - lowA) + Math.abs(highB - lowB);
      const revised = Math.max(Math.abs(offset) - threshold * dim, 0) * Math.sign(offset);
      return { offset, revised };
    });
    if (axes.every(({ revised }) => Math.abs(revised) < 1e-3)) return new Set();
    const norm = Math.sqrt(axes.reduce((sum, { offset }) => sum + offset ** 2, 0));
    const [dx, dy] = axes.map(({ revised }) => revised / norm) as [number, number];
    const relations = new Set<string>();
    if (dx < -0.5) relations.add("left of");
    if (dx > 0.5) relations.add("right of");
    if (dy < -0.5) relations.add("above");
    if (dy > 0.5) relations.add("below");
    return relations;
  },

  detected(boxes: DetectionsByClass, tag: string, options: RuleOptions): Map<string, (readonly number[])[]> {
    const threshold = tag !== "counting" ? options.threshold : options.countingThreshold;
    const found = new Map<string, (readonly number[])[]>();
    for (const name of Object.keys(boxes)) {
      const rows = boxes[name]!;
      let ordering = python.argsortReversed(rows.map((row) => row[4]));
      ordering = ordering.filter((i) => rows[i]![4] > threshold);
      ordering = ordering.slice(0, options.maxObjects);
      const kept: (readonly number[])[] = [];
      while (ordering.length > 0) {
        const max = ordering.shift()!;
        kept.push(rows[max]!);
        ordering = ordering.filter(
          (i) => options.maxOverlap === 1 || python.computeIou(rows[max]!, rows[i]!) < options.maxOverlap,
        );
      }
      if (kept.length > 0) found.set(name, kept);
    }
    return found;
  },

  evaluate(
    metadata: GenevalMetadata,
    boxes: DetectionsByClass,
    colorsOf: Readonly<Record<string, readonly string[]>>,
    options: RuleOptions,
  ): { correct: boolean; failures: string[] } {
    const objects = python.detected(boxes, metadata.tag, options);
    const failures: string[] = [];
    const groups: ((readonly number[])[] | null)[] = [];
    for (const req of metadata.include ?? []) {
      let matched = true;
      const found = (objects.get(req.class) ?? []).slice(0, req.count);
      if (found.length < req.count) {
        matched = false;
        failures.push(`expected ${req.class}>=${req.count}, found ${found.length}`);
      } else {
        if (req.color !== undefined) {
          const colors = colorsOf[req.class]!.slice(0, req.count);
          const right = colors.filter((color) => color === req.color).length;
          if (right < req.count) {
            matched = false;
            const order = "red orange yellow green blue purple pink brown black white".split(" ");
            const listed = order
              .filter((color) => colors.includes(color))
              .map((color) => `${colors.filter((other) => other === color).length} ${color}`);
            failures.push(
              `expected ${req.color} ${req.class}>=${req.count}, found ${right} ${req.color}; and ${listed.join(", ")}`,
            );
          }
        }
        if (req.position !== undefined && matched) {
          const [wanted, target] = req.position;
          const others = groups[target]!;
          if (others === null) {
            matched = false;
            failures.push(`no target for ${req.class} to be ${wanted}`);
          } else {
            search: for (const object of found) {
              for (const other of others) {
                const relations = python.relativePosition(object, other, options.positionThreshold);
                if (relations.has(wanted)) continue;
                matched = false;
                // A set of Python has no order; ours names vertical ones around the horizontal one.
                const order = ["above", "left of", "right of", "below"].filter((r) => relations.has(r));
                failures.push(`expected ${req.class} ${wanted} target, found ${order.join(" and ")} target`);
                break search;
              }
            }
          }
        }
      }
      groups.push(matched ? found : null);
    }
    for (const req of metadata.exclude ?? []) {
      const have = objects.get(req.class)?.length ?? 0;
      if (have >= req.count) failures.push(`expected ${req.class}<${req.count}, found ${have}`);
    }
    return { correct: failures.length === 0, failures };
  },
};

const classes = ["dog", "cat", "tv remote", "constructor", "__proto__"];
const colors = ["red", "orange", "blue", "white", "grey"];
const score = fc.oneof(
  fc.constantFrom(0.3, 0.30001, 0.9, 0.90001, 1),
  fc.integer({ min: 0, max: 1000 }).map((value) => value / 1000),
);
// Small whole numbers make equal offsets, exact halves, touching and nested boxes likely.
const side = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.double({ min: 0, max: 300, noNaN: true }));
const box = fc
  .tuple(side, side, side, side, score)
  .map(([x, y, w, h, s]) => [x, y, x + w, y + h, s] as [number, number, number, number, number]);
const detections = fc
  .array(fc.tuple(fc.constantFrom(...classes), fc.array(box, { maxLength: 20 })), { maxLength: 4 })
  .map((entries) => {
    const byClass: Record<string, [number, number, number, number, number][]> = Object.create(null);
    for (const [name, rows] of entries) byClass[name] = rows;
    return byClass;
  });
const clause = fc.record(
  {
    class: fc.constantFrom(...classes),
    count: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 1, max: 3 }) }, fc.constant(17)),
    color: fc.constantFrom(...colors.slice(0, 4)),
    position: fc.tuple(fc.constantFrom("left of", "right of", "above", "below"), fc.nat(3)),
  },
  { requiredKeys: ["class", "count"] },
);
const metadata = fc
  .record({
    tag: fc.constantFrom("position", "counting", "anything"),
    include: fc.array(clause, { maxLength: 4 }),
    exclude: fc.array(
      fc.record({ class: fc.constantFrom(...classes), count: fc.integer({ min: 1, max: 16 }) }),
      {
        maxLength: 2,
      },
    ),
  })
  .map(({ tag, include, exclude }): GenevalMetadata => {
    const clauses = include.map(({ position, ...rest }, index) =>
      position && index > 0 ? { ...rest, position: [position[0], position[1] % index] as const } : rest,
    );
    return { tag, include: clauses, exclude, prompt: "p" };
  });
const options = fc.record({
  threshold: fc.constantFrom(0.3, 0.3, 0),
  countingThreshold: fc.constantFrom(0.9, 0.9, 0.5),
  maxObjects: fc.constantFrom(16, 16, 3),
  maxOverlap: fc.constantFrom(1, 1, 0.5, 0),
  positionThreshold: fc.constantFrom(0.1, 0.1, 0),
});
/** Names for the 20 best objects of every class: always enough, mostly more than are kept. */
const names = fc.array(fc.array(fc.constantFrom(...colors), { minLength: 20, maxLength: 20 }), {
  minLength: classes.length,
  maxLength: classes.length,
});

describe("GenEval's rules against a literal translation", () => {
  it.each([
    ["the official options", fc.constant(officialOptions)],
    ["any options", options],
  ])("agree on random images, reasons included, with %s", (_what, chosen) => {
    const seen = { right: 0, wrong: 0 };
    fc.assert(
      fc.property(metadata, detections, names, chosen, (row, boxes, named, rules) => {
        const colorsOf: Record<string, readonly string[]> = Object.create(null);
        classes.forEach((name, index) => {
          colorsOf[name] = named[index]!;
        });
        const expected = python.evaluate(row, boxes, colorsOf, rules);
        const verdict = judgeDetections(row, boxes, colorsOf, rules);
        expect(verdict.correct).toBe(expected.correct);
        expect(verdict.reason).toBe(expected.failures.join("\n"));
        seen[verdict.correct ? "right" : "wrong"]++;
      }),
      { numRuns: 1500, seed: 1 },
    );
    expect(Math.min(seen.right, seen.wrong)).toBeGreaterThan(100);
  });

  it("agree on single pairs of boxes in every arrangement", () => {
    const pair = fc.tuple(box, box);
    const found = new Set<string>();
    for (const relation of ["left of", "right of", "above", "below"]) {
      const row: GenevalMetadata = {
        tag: "position",
        include: [
          { class: "cat", count: 1 },
          { class: "dog", count: 1, position: [relation, 0] },
        ],
        prompt: "p",
      };
      fc.assert(
        fc.property(pair, ([a, b]) => {
          const boxes = {
            dog: [[...a.slice(0, 4), 1]],
            cat: [[...b.slice(0, 4), 1]],
          } as unknown as DetectionsByClass;
          const expected = python.evaluate(row, boxes, {}, officialOptions);
          const verdict = judgeDetections(row, boxes, {});
          expect(verdict.reason).toBe(expected.failures.join("\n"));
          found.add(verdict.reason);
        }),
        { numRuns: 500, seed: 2 },
      );
    }
    expect(found.has("expected dog above target, found  target"), "none").toBe(true);
    expect(found.has("expected dog above target, found right of and below target"), "two").toBe(true);
  });
});
