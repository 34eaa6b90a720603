import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import { drawBits } from "../../src/generators/next-scale/draw-bits.ts";

const plain = { guidance: 1, temperature: 1, topP: 1 };
const stream = (id: string) => createRng(1, "prompt").stream("token", id, 2);

describe("drawBits", () => {
  it("draws ones with the probability of the logit", () => {
    const logit = 0.8;
    const count = 40_000;
    const { bits } = drawBits(new Float32Array(count).fill(logit), null, plain, stream("c0"));
    const share = bits.reduce((sum, bit) => sum + bit, 0) / count;
    const expected = 1 / (1 + Math.exp(-logit));
    // Four standard errors of a share of independent draws.
    expect(Math.abs(share - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / count));
  });

  it("applies guidance and temperature to logits", () => {
    const forced = Uint8Array.of(1, 0);
    const cond = Float32Array.of(1.5, -0.25);
    const uncond = Float32Array.of(0.5, 0.75);
    const settings = { guidance: 3, temperature: 0.5, topP: 1 };
    const delta = [(3 * 1.5 - 2 * 0.5) / 0.5, (3 * -0.25 - 2 * 0.75) / 0.5];
    const { logProb, guidanceGap } = drawBits(cond, uncond, settings, stream("c0"), forced);
    const expected = -Math.log1p(Math.exp(-delta[0]!)) - Math.log1p(Math.exp(delta[1]!));
    expect(logProb).toBeCloseTo(expected, 12);
    expect(guidanceGap).toBeCloseTo(1, 12);
  });

  it("takes the likelier value exactly from ln(p / (1 - p)) on", () => {
    const threshold = Math.log(0.97 / 0.03);
    const count = 20_000;
    const settings = { ...plain, topP: 0.97 };
    const above = drawBits(
      new Float32Array(count).fill(-threshold - 1e-3),
      null,
      settings,
      stream("c0"),
    ).bits;
    const below = drawBits(
      new Float32Array(count).fill(-threshold + 1e-3),
      null,
      settings,
      stream("c0"),
    ).bits;
    expect(above.includes(1)).toBe(false);
    expect(below.includes(1)).toBe(true);
  });

  it("is greedy with top-k 1, and free with more values than a bit has", () => {
    const logits = Float32Array.from({ length: 2000 }, (_, index) => (index % 2 === 0 ? 0.1 : -0.1));
    const draw = (settings: object) =>
      drawBits(logits, null, { ...plain, ...settings }, stream("c0")).bits.join("");
    expect(draw({ topK: 1 })).toBe("10".repeat(1000));
    expect(draw({ topK: 2 })).toBe(draw({}));
    expect(draw({ topK: 900 })).toBe(draw({}));
    expect(draw({})).not.toBe(draw({ topK: 1 }));
    // Both rules at once: the nucleus leaves nothing to choose below one half.
    expect(draw({ topP: 0.5 })).toBe(draw({ topK: 1 }));
  });

  it("gives every position its own draw: other logits never change it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 2, maxLength: 40 }),
        fc.nat(),
        fc.float({ min: -4, max: 4, noNaN: true }),
        (logits, place, other) => {
          const at = place % logits.length;
          const before = drawBits(Float32Array.from(logits), null, plain, stream("c0")).bits;
          const changed = drawBits(Float32Array.from(logits.with(at, other)), null, plain, stream("c0")).bits;
          expect([...changed].filter((_, index) => index !== at)).toEqual(
            [...before].filter((_, index) => index !== at),
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it("keeps its signals within their bounds, for extreme logits too", () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1 }), (logits) => {
        const { logProb, entropy } = drawBits(Float32Array.from(logits), null, plain, stream("c1"));
        expect(Number.isFinite(logProb)).toBe(true);
        expect(logProb).toBeLessThanOrEqual(0);
        expect(entropy).toBeGreaterThanOrEqual(0);
        expect(entropy).toBeLessThanOrEqual(Math.log(2) + 1e-12);
      }),
    );
  });

  it("refuses logits that are not finite", () => {
    expect(() => drawBits(Float32Array.of(0, Number.NaN), null, plain, stream("c0"))).toThrow(
      /position 1 is NaN/,
    );
  });
});
