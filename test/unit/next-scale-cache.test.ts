import { describe, expect, it } from "vitest";
import type { HeadVectors } from "../../src/generators/next-scale/cache/attention.ts";
import { spread } from "../../src/generators/next-scale/cache/attention.ts";
import { type Crowded, keptTokens, windowOf } from "../../src/generators/next-scale/cache/evict.ts";
import { type CachePolicy, resolveCache } from "../../src/generators/next-scale/cache/settings.ts";
import { leastCertain } from "../../src/generators/next-scale/masked-passes.ts";

/** One channel: a key is its own score for a query of 1. */
const vectors = (values: readonly number[]): HeadVectors => ({
  count: values.length,
  at: (token) => Float32Array.of(values[token]!),
});
const shape = { prefix: 66, depth: 5, heads: 2 };
const classes = {
  schemaVersion: 1 as const,
  model: "m@1",
  prompts: 1,
  layers: [],
  variance: [],
  drafters: [0],
  structural: Array.from({ length: 5 }, () => [true, false]),
};
const none = {
  cache: undefined,
  cacheShare: undefined,
  cacheLayers: undefined,
  cacheTokens: undefined,
  cacheHeads: undefined,
};
const policyOf = (wish: object): CachePolicy => resolveCache({ ...none, ...wish }, shape, classes).policy!;

/** 5 + 9 old tokens and 16 new ones; the seventh is looked at most. */
const crowded: Crowded = {
  layer: 1,
  head: 0,
  keys: vectors(Array.from({ length: 30 }, (_, at) => (at === 6 ? 5 : at / 100))),
  positions: Array.from({ length: 30 }, (_, at) => at),
  queries: vectors(new Array(16).fill(1)),
  grid: { h: 4, w: 4 },
  first: 5,
};

describe("policies of the cache", () => {
  it("give layers that look back twice the share, and all together the same", () => {
    const { budgets } = policyOf({ cache: "scalekv", cacheShare: 0.5 });
    expect(budgets).toEqual([66, 24, 24, 24, 24]);
    expect(policyOf({ cache: "scalekv", cacheShare: 0.5, cacheLayers: "uniform" }).budgets).toEqual(
      new Array(5).fill(33),
    );
    expect(policyOf({ cache: "hack", cacheHeads: "swapped" }).structural[0]).toEqual([false, true]);
    expect(resolveCache(none, shape, null)).toEqual({ policy: null, settings: {} });
  });

  it("keep the window and what it looks at, neighbours included", () => {
    const policy = { ...policyOf({ cache: "scalekv" }), budgets: new Array(5).fill(8) };
    // Centres of a 2x2 division of the newest 4x4, and 5 to 7 around the one that is looked at.
    expect(windowOf({ h: 4, w: 4 }, 2)).toEqual([0, 2, 8, 10]);
    expect(keptTokens(policy, crowded)).toEqual([5, 6, 7, 14, 16, 22, 24, 28]);
    expect(windowOf({ h: 16, w: 16 }, 4).slice(0, 4)).toEqual([17, 21, 25, 29]);
    expect(keptTokens({ ...policy, tokens: "recent" }, crowded)).toEqual([22, 23, 24, 25, 26, 27, 28, 29]);
    const random = keptTokens({ ...policy, tokens: "random" }, crowded);
    expect(random).toHaveLength(8);
    expect(keptTokens({ ...policy, tokens: "random" }, { ...crowded, head: 1 })).not.toEqual(random);
  });

  it("keep the first two scales and the newest in structural heads, what is looked at in contextual ones", () => {
    const hack = { ...policyOf({ cache: "hack" }), budgets: new Array(5).fill(8) };
    expect(keptTokens(hack, crowded)).toEqual([0, 1, 2, 3, 4, 27, 28, 29]);
    expect(keptTokens(hack, { ...crowded, head: 1 })).toEqual([6, 23, 24, 25, 26, 27, 28, 29]);
  });

  it("spread what is observed evenly", () => {
    expect(spread(36, 4)).toEqual([4, 13, 22, 31]);
    expect(spread(3, 8)).toEqual([0, 1, 2]);
  });
});

describe("masked passes", () => {
  it("take the least certain of those that are open; of equals, the earlier", () => {
    const draft = {
      id: "c0",
      before: null,
      bits: new Uint8Array(),
      confidence: Float64Array.of(-1, -3, -2, -3),
    };
    expect(leastCertain(draft, [0, 1, 2, 3], 2)).toEqual([1, 3]);
    expect(leastCertain(draft, [0, 2], 1)).toEqual([2]);
  });
});
