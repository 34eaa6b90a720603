import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bestK, tokenDistances } from "../../src/engine/best-k.ts";

/** Candidates on a line. */
const line =
  (places: readonly number[]) =>
  (rows: readonly number[]): number[][] =>
    rows.map((a) => rows.map((b) => Math.abs(places[a]! - places[b]!)));

describe("the best-k set", () => {
  it("is the best by score where only that counts, and the farthest where only that counts", () => {
    const places = [0, 1, 2, 10];
    const scores = [4, 3, 2, 1];
    expect(bestK(scores, 0, line(places), { keep: 2, diversity: 0 })).toEqual([0, 1]);
    expect(bestK(scores, 0, line(places), { keep: 2, diversity: 1 })).toEqual([0, 3]);
    expect(bestK(scores, 0, line(places), { keep: 3, diversity: 0.01 })).toEqual([0, 1, 2]);
  });

  it("begins with the answer, whatever its score", () => {
    expect(bestK([1, 5, 4], 0, line([0, 1, 2]), { keep: 2, diversity: 0 })).toEqual([0, 1]);
    expect(bestK([1, 5, 4], 2, line([0, 1, 2]), { keep: 1, diversity: 0.5 })).toEqual([2]);
  });

  it("never keeps two equal ones, even if fewer are left", () => {
    expect(bestK([3, 3, 2], 0, line([7, 7, 1]), { keep: 3, diversity: 0 })).toEqual([0, 2]);
    expect(bestK([1, 1], 1, line([7, 7]), { keep: 2, diversity: 1 })).toEqual([1]);
  });

  it("finds what trying all sets finds, or nearly", () => {
    const candidates = fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 50 })),
      {
        minLength: 2,
        maxLength: 8,
      },
    );
    fc.assert(
      fc.property(candidates, fc.double({ min: 0, max: 1, noNaN: true }), (list, diversity) => {
        const [scores, places] = [list.map(([score]) => score), list.map(([, place]) => place)];
        const keep = Math.min(3, new Set(places).size);
        const found = bestK(scores, 0, line(places), { keep, diversity });
        expect(found.length).toBe(keep);
        const worths = allSets(list.length, keep)
          .filter((set) => set.includes(0) && new Set(set.map((row) => places[row])).size === keep)
          .map((set) => worth(set, scores, places, diversity));
        expect(worth(found, scores, places, diversity)).toBeGreaterThan(0.9 * Math.max(...worths) - 1e-9);
      }),
      { numRuns: 200 },
    );
  });
});

function worth(
  set: readonly number[],
  scores: readonly number[],
  places: readonly number[],
  diversity: number,
): number {
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const widest = Math.max(...places) - Math.min(...places) || 1;
  const pairs = set.flatMap((a, index) => set.slice(0, index).map((b) => Math.abs(places[a]! - places[b]!)));
  const good = set.map((row) => (high > low ? (scores[row]! - low) / (high - low) : 1));
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / (list.length || 1);
  return (1 - diversity) * mean(good) + (diversity * mean(pairs)) / widest;
}

function allSets(count: number, size: number): number[][] {
  const sets: number[][] = [];
  for (let bits = 0; bits < 1 << count; bits++) {
    const set = Array.from({ length: count }, (_, row) => row).filter((row) => (bits >> row) & 1);
    if (set.length === size) sets.push(set);
  }
  return sets;
}

describe("distances by tokens", () => {
  const bits = (...data: number[]) => ({ count: data.length, data: Uint8Array.from(data) });

  it("let a stage of one token count as much as one of many, and leave out what all share", () => {
    const tokens = [
      [bits(1), bits(0), bits(0, 0, 0, 0)],
      [bits(1), bits(1), bits(0, 0, 0, 0)],
      [bits(1), bits(0), bits(1, 1, 1, 1)],
    ];
    const apart = tokenDistances({ kind: "bits", width: 1 }, tokens);
    // Of three pairs two differ by the one bit, and two by the four: each is 1.5 times its stage's mean.
    expect(apart).toEqual([
      [0, 0.75, 0.75],
      [0.75, 0, 1.5],
      [0.75, 1.5, 0],
    ]);
  });

  it("are zero for equal candidates", () => {
    const same = [bits(1, 0)];
    expect(tokenDistances({ kind: "bits", width: 1 }, [same, same])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });
});
