import { describe, expect, it } from "vitest";
import { createRng } from "../../src/core/rng.ts";
import { Codebook } from "../../src/generators/canvas/codebook.ts";
import { drawCodes, renoise } from "../../src/generators/discrete-diffusion/draw-codes.ts";
import { keepShare, posterior, timesOf } from "../../src/generators/discrete-diffusion/schedule.ts";

const stream = (id: string) => createRng(1, "test").stream("token", id, 0);

describe("discrete diffusion's schedule", () => {
  it("keeps codes as VQ-DDM's cosine schedule does", () => {
    const shares = [0.1, 0.25, 0.5, 0.75, 0.9, 1].map((time) => keepShare(time).toFixed(3));
    expect(shares).toEqual(["0.986", "0.920", "0.703", "0.380", "0.155", "0.000"]);
    expect(keepShare(0)).toBe(1);
    expect(timesOf(4)).toEqual([1, 0.75, 0.5, 0.25, 0]);
  });

  it("makes a strided step equal to the chain of small steps", () => {
    const K = 5;
    const clean = Float64Array.of(1, 0, 0, 0, 0);
    const [from, middle, to] = [0.8, 0.65, 0.4];
    const normalised = (noisy: number, a: number, b: number): Float64Array => {
      const out = new Float64Array(K);
      const sum = posterior(clean, noisy, a, b, out);
      return out.map((weight) => weight / sum);
    };
    for (let noisy = 0; noisy < K; noisy++) {
      const direct = normalised(noisy, from, to);
      const first = normalised(noisy, from, middle);
      const chained = new Float64Array(K);
      for (let code = 0; code < K; code++) {
        for (const [at, weight] of normalised(code, middle, to).entries()) {
          chained[at]! += first[code]! * weight;
        }
      }
      for (let code = 0; code < K; code++)
        expect(Math.abs(chained[code]! - direct[code]!)).toBeLessThan(1e-15);
    }
  });

  it("ends with the clean codes themselves", () => {
    const out = new Float64Array(3);
    const sum = posterior(Float64Array.of(0.2, 0.7, 0.1), 0, 0.25, 0, out);
    const ratio = [...out].map((weight) => weight / sum);
    // The likelihood of the noisy code favours what is there already.
    const step = keepShare(0.25);
    const expected = [0.2 * (step + (1 - step) / 3), (0.7 * (1 - step)) / 3, (0.1 * (1 - step)) / 3];
    const total = expected.reduce((a, b) => a + b);
    for (const [at, value] of expected.entries()) expect(ratio[at]).toBeCloseTo(value / total, 12);
  });
});

describe("drawing codes", () => {
  const logits = Float32Array.of(0, 9, 0, 0, 0, 0, 0, 9);
  const how = { from: 0.5, to: 0.25, guidance: 1, temperature: 1 };

  it("is keyed by position, and tells what it thinks", () => {
    const noisy = Int32Array.of(1, 3);
    const one = drawCodes(logits, null, noisy, how, stream("a"), 0);
    expect(drawCodes(logits, null, noisy, how, stream("a"), 0)).toEqual(one);
    expect([...one.guess]).toEqual([1, 3]);
    expect(one.confidence).toBeGreaterThan(0.99);
    expect(one.logProb).toBeLessThanOrEqual(0);
  });

  it("leads away from what is likely without the text", () => {
    const none = Float32Array.of(0, 9, 8, 0, 0, 0, 0, 9);
    const own = Float32Array.of(0, 9, 8.5, 0, 0, 0, 0, 9);
    const { guess } = drawCodes(own, none, Int32Array.of(0, 0), { ...how, guidance: 3 }, stream("a"), 0);
    expect([...guess]).toEqual([2, 3]);
  });

  it("refuses logits that are no numbers", () => {
    const bad = Float32Array.of(Number.NaN, 0, 0, 0, 0, 0, 0, 0);
    expect(() => drawCodes(bad, null, Int32Array.of(0, 0), how, stream("a"), 0)).toThrow(/not finite/);
  });

  it("puts noise on a share of the codes", () => {
    const codes = new Int32Array(4000).fill(7);
    const noisy = renoise(codes, 0.75, 1000, stream("b"), 0);
    const same = noisy.filter((code) => code === 7).length / codes.length;
    expect(same).toBeGreaterThan(0.72);
    expect(same).toBeLessThan(0.78);
    expect(renoise(codes, 1, 1000, stream("b"), 0)).toEqual(codes);
  });
});

describe("codebook", () => {
  it("turns codes into canvases, channel by channel, and back", () => {
    const book = new Codebook(Float32Array.of(0, 1, 2, 3, 4, 5), 3);
    expect([...book.canvas(Int32Array.of(2, 0, -1, 1))]).toEqual([4, 0, 0, 2, 5, 1, 0, 3]);
    expect([...book.codes(Float32Array.of(4.1, 0, 2, 4.9, 1, 3))]).toEqual([2, 0, 1]);
  });
});
