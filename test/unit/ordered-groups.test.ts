import { describe, expect, it } from "vitest";
import { drawToken } from "../../src/generators/ordered/nar/draw-token.ts";
import { diagonalGroups, positionsOf, stagesOf } from "../../src/generators/ordered/nar/groups.ts";

describe("ordered groups", () => {
  it("are the anti-diagonals of a picture", () => {
    const counts = diagonalGroups([8, 8]).map(({ positions }) => positions.length);
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1]);
    let done = 0;
    const shares = counts.map((count) => {
      done += count;
      return Math.round((100 * done) / 64);
    });
    expect(shares).toEqual([2, 5, 9, 16, 23, 33, 44, 56, 67, 77, 84, 91, 95, 98, 100]);
  });

  it("are planes t + h + w of a clip", () => {
    const counts = diagonalGroups([4, 8, 8]).map(({ positions }) => positions.length);
    expect(counts).toEqual([1, 3, 6, 10, 14, 18, 22, 26, 28, 28, 26, 22, 18, 14, 10, 6, 3, 1]);
    expect(diagonalGroups([4, 8, 8])[1]!.sources).toEqual([
      [1, -1, -1],
      [-1, 1, -1],
      [-1, -1, 1],
    ]);
  });

  it("predict a token from its left and its upper neighbour, borders from one of them", () => {
    const [corner, second, third] = diagonalGroups([3, 3]);
    expect(corner).toEqual({ positions: [0], sources: [[0, 0]] });
    expect(second!.positions).toEqual([1, 3]);
    expect(second!.sources).toEqual([
      [1, -1],
      [-1, 1],
    ]);
    // (1,1) is right of (1,0), the third token drawn, and below (0,1), the second.
    expect(third!.positions).toEqual([2, 4, 6]);
    expect(third!.sources[1]).toEqual([3, 2]);
  });

  it("are rows of single tokens in the raster order", () => {
    const stages = stagesOf("raster", 4);
    expect(stages).toHaveLength(4);
    expect(positionsOf(stages[1]!)).toEqual([4, 5, 6, 7]);
    expect(stages[1]![0]!.sources).toEqual([[4]]);
  });
});

describe("drawing a token", () => {
  const plain = { guidance: 1, temperature: 1, topK: 0, topP: 1, minP: 0 };
  const logits = [Math.log(0.5), Math.log(0.3), Math.log(0.15), Math.log(0.05)];
  const drawn = (settings: Partial<typeof plain>): number[] =>
    [0.01, 0.4, 0.6, 0.85, 0.97].map(
      (uniform) => drawToken(logits, null, { ...plain, ...settings }, uniform).token,
    );

  it("follows the shares, and tells its log-probability and entropy", () => {
    expect(drawn({})).toEqual([0, 0, 1, 2, 3]);
    const { logProb, entropy } = drawToken(logits, null, plain, 0.6);
    expect(logProb).toBeCloseTo(Math.log(0.3), 12);
    expect(entropy).toBeCloseTo(-[0.5, 0.3, 0.15, 0.05].reduce((sum, p) => sum + p * Math.log(p), 0), 12);
  });

  it("filters by number, by share and by the likeliest", () => {
    expect(new Set(drawn({ topK: 2 }))).toEqual(new Set([0, 1]));
    expect(new Set(drawn({ topP: 0.79 }))).toEqual(new Set([0, 1]));
    expect(new Set(drawn({ topP: 0.81 }))).toEqual(new Set([0, 1, 2]));
    // Half of the likeliest one's probability.
    expect(new Set(drawn({ minP: 0.5 }))).toEqual(new Set([0, 1]));
    const { logProb } = drawToken(logits, null, { ...plain, topK: 2 }, 0.9);
    expect(logProb).toBeCloseTo(Math.log(0.3 / 0.8), 12);
  });

  it("is guided by the logits without the text", () => {
    expect(drawToken([0, 1, 0.9], [0, 1, 0], { ...plain, guidance: 20 }, 0.5).token).toBe(2);
    expect(() => drawToken([Number.NaN], null, plain, 0.5)).toThrow(/not finite/);
  });
});
