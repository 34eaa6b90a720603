import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import {
  augmented,
  coarsen,
  enlarge,
  nearestPixels,
  tokenUnder,
} from "../../src/generators/masked-set/cascade/levels.ts";
import { denoise, headTimes, signalShare } from "../../src/generators/masked-set/diffusion.ts";
import { levelOf, normalLevels } from "../../src/generators/masked-set/levels.ts";
import { chooseNext, type Order, revealsOf } from "../../src/generators/masked-set/reveals.ts";
import { guidanceAt, maskedSettings } from "../../src/generators/masked-set/settings.ts";

const stream = (id: string) => createRng(1, "test").stream("token", id, 0);

describe("reveals of a masked set", () => {
  it("are few first and many at the end (MAR)", () => {
    expect(revealsOf(64, 6)).toEqual([3, 6, 10, 13, 16, 16]);
    expect(revealsOf(64, 8)).toEqual([2, 3, 6, 8, 10, 11, 12, 12]);
    expect(revealsOf(64, 12)).toEqual([1, 2, 2, 4, 5, 5, 7, 6, 8, 8, 8, 8]);
    expect(revealsOf(64, 16)).toEqual([1, 1, 1, 2, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6]);
  });

  const choose = (order: Order, known: Uint8Array, id: string, vectors = new Float32Array(16)): number[] =>
    chooseNext({ order, known, side: 4, vectors }, 4, stream(id));

  it("come in an order of the candidate's own, or in reading order", () => {
    const known = new Uint8Array(16);
    expect(choose("random", known, "a")).toEqual(choose("random", known, "a"));
    expect(choose("random", known, "a")).not.toEqual(choose("random", known, "b"));
    known[1] = 1;
    expect(choose("raster", known, "a")).toEqual([0, 2, 3, 4]);
    expect(choose("random", known, "a")).not.toContain(1);
  });

  it("go from the most characteristic place outwards (SemAIM), once there is something to see", () => {
    const known = new Uint8Array(16);
    // The mean is (1, 1.5): position 2 is the first whose vector (1, 2) is nearest to it.
    const vectors = Float32Array.from({ length: 32 }, (_, at) => (at % 2 === 0 ? 1 : (at >> 1) % 4));
    expect(choose("semantic", known, "a", vectors)).toEqual(choose("random", known, "a", vectors));
    known.fill(1, 12);
    expect(choose("semantic", known, "a", vectors)).toEqual([1, 2, 3, 6]);
  });
});

describe("levels of a cascade", () => {
  const grid = { coarse: 2, fine: 4, spread: [0.5, 2] };
  const tokens = Float32Array.from({ length: 32 }, (_, at) => at);

  it("are means of blocks at unit variance, and lie under the whole canvas", () => {
    expect(tokenUnder(grid)).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]);
    // Tokens 0, 1, 4 and 5 have the first values 0, 2, 8 and 10: mean 5, by the deviation.
    expect([...coarsen(grid, tokens).slice(0, 2)]).toEqual([10, 3]);
    const shown = enlarge(grid, coarsen(grid, tokens));
    expect([...shown.slice(0, 4)]).toEqual([5, 6, 5, 6]);
    expect(revealsOf(16, 4)).toEqual([2, 3, 5, 6]);
  });

  it("have noise between them that is the candidate's own, or none", () => {
    const coarse = Float32Array.of(1, -1);
    expect(augmented(coarse, 0, stream("a"), 0)).toBe(coarse);
    const noisy = augmented(coarse, 0.5, stream("a"), 0);
    expect(augmented(coarse, 0.5, stream("a"), 0)).toEqual(noisy);
    expect(augmented(coarse, 0.5, stream("b"), 0)).not.toEqual(noisy);
    const kept = signalShare(0.5);
    expect(noisy[0]).toBeCloseTo(Math.sqrt(kept) + Math.sqrt(1 - kept) * stream("a").normal(0), 6);
  });

  it("are seen at other sides by the nearest pixel", () => {
    const image = { width: 1, height: 2, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect([...nearestPixels(image, 2, 2).data]).toEqual([1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6]);
  });
});

describe("levels of a channel", () => {
  it("are the means of equally likely parts of a normal variable (TokenBridge)", () => {
    const shown = (levels: readonly number[]) => levels.map((level) => level.toFixed(4));
    const positive = normalLevels(16).slice(8);
    expect(shown(positive)).toEqual([
      "0.0785",
      "0.2375",
      "0.4027",
      "0.5800",
      "0.7779",
      "1.0129",
      "1.3259",
      "1.9387",
    ]);
    const many = normalLevels(64).slice(32);
    expect(shown([...many.slice(0, 3), ...many.slice(-2)])).toEqual([
      "0.0196",
      "0.0588",
      "0.0981",
      "1.9942",
      "2.4371",
    ]);
    expect(levelOf(normalLevels(16), 0.3)).toBe(9);
    expect(levelOf(normalLevels(16), -9)).toBe(0);
  });
});

describe("a token's diffusion", () => {
  it("goes from noise to signal", () => {
    expect(signalShare(0)).toBe(1);
    expect(signalShare(0.995)).toBeLessThan(1e-4);
    expect(headTimes(4)).toHaveLength(5);
    expect(headTimes(4).at(-1)).toBe(0);
  });

  it("arrives at the clean token when the noise is predicted exactly", () => {
    const clean = Float64Array.of(0.7, -1.2);
    const times = headTimes(10);
    const x = Float64Array.of(0.3, 0.4);
    for (let step = 0; step < 10; step++) {
      const kept = signalShare(times[step]!);
      const noise = x.map((value, at) => (value - Math.sqrt(kept) * clean[at]!) / Math.sqrt(1 - kept));
      denoise(x, noise, times[step]!, times[step + 1]!, (at) => stream("n").normal(2 * step + at));
    }
    expect(x[0]).toBeCloseTo(0.7, 6);
    expect(x[1]).toBeCloseTo(-1.2, 6);
  });

  it("is guided the more the more is revealed", () => {
    const own = {
      stages: 8,
      headSteps: 25,
      guidance: 3,
      guidanceSchedule: "linear",
      temperature: 1,
      order: "random",
    } as const;
    const linear = maskedSettings(own, {});
    expect([0.25, 1].map((share) => guidanceAt(linear, share))).toEqual([1.5, 3]);
    expect(guidanceAt(maskedSettings(own, { guidanceSchedule: "constant" }), 0.25)).toBe(3);
    expect(() => maskedSettings(own, { order: "spiral" })).toThrow(/order/);
    expect(maskedSettings(own, {}).negativePrompt).toBeUndefined();
    expect(maskedSettings({ ...own, negativePrompt: "an image" }, {}).negativePrompt).toBe("an image");
  });
});
