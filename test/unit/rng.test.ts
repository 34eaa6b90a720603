import { describe, expect, it } from "vitest";
import { createRng, philox } from "../../src/core/rng.ts";

/** Known-answer vectors of Random123 (Salmon et al. 2011) for philox4x32 with 10 rounds. */
const vectors = [
  { counter: [0, 0, 0, 0], key: [0, 0], expected: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    expected: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    expected: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
] as const;

describe("philox", () => {
  it.each(vectors)("gives the published words for counter $counter", ({ counter, key, expected }) => {
    const out = new Uint32Array(4);
    philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1], out);
    expect([...out]).toEqual(expected);
  });
});

describe("createRng", () => {
  it("gives the same draws from fill as from uniform", () => {
    const stream = createRng(1, "p").stream("token", "c0", 2);
    const filled = new Float64Array(11);
    stream.fill(filled);
    expect([...filled]).toEqual(Array.from({ length: 11 }, (_, index) => stream.uniform(index)));
  });

  it("separates seeds, prompts, candidates, scales and purposes", () => {
    const draws = [
      createRng(1, "p").stream("token", "c0", 2),
      createRng(2, "p").stream("token", "c0", 2),
      createRng(1, "q").stream("token", "c0", 2),
      createRng(1, "p").stream("token", "c1", 2),
      createRng(1, "p").stream("token", "c0", 3),
      createRng(1, "p").stream("select", "c0", 2),
    ].map((stream) => stream.uniform(0));
    expect(new Set(draws).size).toBe(draws.length);
  });

  it("draws standard normals", () => {
    const stream = createRng(3, "p").stream("token", "c0", 0);
    const draws = Array.from({ length: 20_000 }, (_, index) => stream.normal(index));
    const mean = draws.reduce((sum, draw) => sum + draw, 0) / draws.length;
    const variance = draws.reduce((sum, draw) => sum + (draw - mean) ** 2, 0) / draws.length;
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.04);
  });
});
