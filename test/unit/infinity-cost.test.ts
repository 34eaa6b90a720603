import { describe, expect, it } from "vitest";
import { rowFlops } from "../../src/generators/next-scale/infinity/cost.ts";

/** Infinity-2B: reference figures of the cost table are for the unfolded head of twice the channels. */
const infinity2b = {
  depth: 32,
  embedDim: 2048,
  heads: 16,
  ffnHidden: 8192,
  textChannels: 2048,
  textMaxLength: 512,
  codeChannels: 32,
  tokenChannels: 32,
  patchify: false,
};

describe("rowFlops", () => {
  it("gives the known cost of Infinity-2B at 256 pixels with 64 text tokens", () => {
    const lengths = [1, 4, 16, 36, 64, 144, 256];
    const tera = lengths.map((tokens, scale) => {
      const past = lengths.slice(0, scale).reduce((sum, length) => sum + length, 0);
      return rowFlops(infinity2b, tokens, past, 64) / 1e12;
    });
    expect(tera[0]).toBeCloseTo(0.0038, 4);
    expect(tera[2]).toBeCloseTo(0.0605, 4);
    expect(tera[4]).toBeCloseTo(0.2436, 4);
    expect(tera[6]).toBeCloseTo(1.0014, 3);
    expect(2 * tera.reduce((sum, value) => sum + value, 0)).toBeCloseTo(4.029, 2);
  });

  it("grows with the past by the attention over it alone", () => {
    const { depth, embedDim } = infinity2b;
    const difference = rowFlops(infinity2b, 16, 105, 8) - rowFlops(infinity2b, 16, 5, 8);
    expect(difference).toBe(4 * depth * 16 * 100 * embedDim);
  });
});
