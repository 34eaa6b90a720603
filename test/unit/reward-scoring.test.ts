import { describe, expect, test } from "vitest";
import { cascade } from "../../rewards/cascade.ts";
import { rank } from "../../rewards/rank.ts";
import { weighted } from "../../rewards/weighted.ts";
import { Disposal } from "../../src/core/disposal.ts";
import type { RewardDefinition, RewardHost } from "../../src/core/plugin.ts";
import type { Reward, RewardItem } from "../../src/core/reward.ts";
import { parseOptions } from "../../src/plugins/check-shape.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { ScoreMemo } from "../../src/scoring/score-memo.ts";
import { greyItems, rewardContext } from "../fixtures/reward-host.ts";

/** A reward by a function of one item, that counts what it is asked. */
function rewardOf(score: (item: RewardItem) => number | null, traits: Partial<Reward> = {}) {
  const batches: string[][] = [];
  const log: string[] = [];
  const reward: Reward = {
    name: "test",
    version: "1",
    direction: "higher",
    range: null,
    suggestedLambda: 10,
    flops: 5,
    license: "MIT",
    source: "test",
    ...traits,
    score: async (batch) => {
      batches.push(batch.map((item) => item.id));
      return { scores: batch.map(score), details: batch.map((item) => ({ id: item.id })) };
    },
    [Symbol.asyncDispose]: async () => {
      log.push(`closed ${traits.name ?? "test"}`);
    },
  };
  return { reward, batches, log };
}
const level = (item: RewardItem) => item.image.data[0]!;

describe("scoring", () => {
  test("splits by maxBatch, keeps the order, scores equal images once and remembers", async () => {
    const { reward, batches } = rewardOf(level, { maxBatch: 2 });
    const scoring = createScoring(reward);
    const first = await scoring.score(greyItems([3, 1, 3, 2, 1]), rewardContext());
    expect(first.scores).toEqual([3, 1, 3, 2, 1]);
    expect(batches).toEqual([["c0", "c1"], ["c3"]]);
    expect((await scoring.score(greyItems([2, 4]), rewardContext())).scores).toEqual([2, 4]);
    expect(batches.slice(2)).toEqual([["c1"]]);
  });

  test("remembers by reward version, options, pixels, prompt and metadata, never by candidate", async () => {
    const memo = new ScoreMemo();
    const [item] = greyItems([7]);
    const ask = async (change: Partial<RewardItem>, version = "1", options: unknown = {}) => {
      await createScoring(rewardOf(level, { version }).reward, { memo, options }).score(
        [{ ...item!, ...change }],
        rewardContext(),
      );
      return memo.size;
    };
    expect(await ask({})).toBe(1);
    expect(await ask({ id: "c9.1" })).toBe(1);
    expect(await ask({ metadata: {} })).toBe(1);
    expect(await ask({ prompt: "a cat" })).toBe(2);
    expect(await ask({ metadata: { tag: "colors", include: [1] } })).toBe(3);
    expect(await ask({ metadata: { include: [1], tag: "colors" } })).toBe(3);
    expect(await ask({}, "2")).toBe(4);
    expect(await ask({}, "1", { mode: "other" })).toBe(5);
    expect(await ask({ image: { width: 4, height: 16, data: item!.image.data } })).toBe(6);
  });

  test("chunks that were scored are kept when a later one fails", async () => {
    let broken = true;
    const { reward, batches } = rewardOf(
      (item) => {
        if (broken && level(item) === 3) throw new Error("hiccup");
        return level(item);
      },
      { maxBatch: 1 },
    );
    const scoring = createScoring(reward);
    await expect(scoring.score(greyItems([1, 2, 3]), rewardContext())).rejects.toThrow(
      /reward test failed on candidates c2: hiccup/,
    );
    broken = false;
    expect((await scoring.score(greyItems([1, 2, 3]), rewardContext())).scores).toEqual([1, 2, 3]);
    expect(batches).toEqual([["c0"], ["c1"], ["c2"], ["c2"]]);
  });

  test("infinity, null, text and a second dispose", async () => {
    const bad = (score: unknown) =>
      createScoring(rewardOf(() => score as number).reward).score(greyItems([1]), rewardContext());
    await expect(bad(Number.POSITIVE_INFINITY)).rejects.toMatchObject({ code: "REWARD_VALUE" });
    await expect(bad(null)).rejects.toThrow(/returned null for candidate c0.*weighted/);
    await expect(bad("0.5")).rejects.toThrow(/returned string for candidate c0/);
    const { reward, log } = rewardOf(level);
    const scoring = createScoring(reward);
    await scoring[Symbol.asyncDispose]();
    await scoring[Symbol.asyncDispose]();
    expect(log).toEqual(["closed test"]);
  });

  test("resources close in reverse order, all of them, also when one fails", async () => {
    const log: string[] = [];
    const resource = (name: string, fails = false) => ({
      async [Symbol.asyncDispose]() {
        log.push(name);
        if (fails) throw new Error(`${name} failed`);
      },
    });
    const owned = new Disposal();
    for (const name of ["a", "b", "c"]) owned.use(resource(name, name === "b"));
    await expect(owned[Symbol.asyncDispose]()).rejects.toThrow("b failed");
    expect(log).toEqual(["c", "b", "a"]);
    const half = new Disposal();
    const opening = half.during(async () => {
      half.use(resource("d"));
      throw new Error("no memory");
    });
    await expect(opening).rejects.toThrow("no memory");
    expect(log.at(-1)).toBe("d");
  });
});

/** Creates a reward of rewards over the given parts. */
async function compose(definition: RewardDefinition, options: unknown, parts: Record<string, Reward>) {
  const host: RewardHost = {
    baseDir: ".",
    allowDownload: false,
    log: () => undefined,
    loadReward: async (spec) => createScoring(parts[spec]!, { nulls: true }),
    describeReward: async (spec) => parts[spec]!,
  };
  const parsed = await parseOptions(definition.options, options, "reward");
  return { reward: await definition.create(parsed, host), traits: await definition.traits!(parsed, host) };
}

describe("rewards made of rewards", () => {
  const bright = () => rewardOf(level, { name: "bright", suggestedLambda: 2 });
  const dark = () =>
    rewardOf(level, { name: "dark", direction: "lower", suggestedLambda: 1, modelId: "m@1" });

  test("rank: an image alone scores as weighted does, those of one question by each other", async () => {
    const onlyOdd = rewardOf((item) => (level(item) % 2 === 1 ? level(item) : null), { name: "odd" });
    const terms = [{ use: "bright", weight: 3 }, { use: "dark" }, { use: "odd" }];
    const { reward, traits } = await compose(
      rank,
      { terms },
      { bright: bright().reward, dark: dark().reward, odd: onlyOdd.reward },
    );
    expect(traits).toMatchObject({ name: "rank", direction: "higher", suggestedLambda: 4, flops: 15 });
    const scoring = createScoring(reward);
    const { scores, details } = await scoring.score(greyItems([3, 8, 5]), rewardContext());
    expect(scores[1]).toBe((3 * 8 * 2 - 8) / 4);
    // bright ranks 0, 1, 1/2; dark, where lower is better, 1, 0, 1/2; odd 0, none, 1.
    expect(scoring.among!(details!)).toEqual([(0 + 1 + 0) / 5, 3 / 4, (1.5 + 0.5 + 1) / 5]);
    expect(scoring.among!(details!.slice(0, 1))).toEqual([0.5]);
  });

  test("weighted: oriented, on a common scale, null drops a term and renormalises", async () => {
    const onlyOdd = rewardOf((item) => (level(item) % 2 === 1 ? 100 : null), { name: "odd" });
    const { reward, traits } = await compose(
      weighted,
      {
        terms: [
          { use: "bright", weight: 3 },
          { use: "dark", standardize: { mean: 10, std: 5 } },
          { use: "odd", weight: 4, standardize: "none" },
        ],
      },
      { bright: bright().reward, dark: dark().reward, odd: onlyOdd.reward },
    );
    const { scores, details } = await reward.score(greyItems([10, 11]), rewardContext());
    expect(scores).toEqual([(3 * 20 + 1 * 0) / 4, (3 * 22 + 1 * -0.2 + 4 * 100) / 8]);
    expect(details![0]).toEqual({ terms: { bright: 10, dark: 10, odd: null } });
    expect(traits).toMatchObject({ flops: 15, suggestedLambda: 1, modelId: "m@1", direction: "higher" });
  });

  test("weighted closes its parts in reverse order and reports an item without any term", async () => {
    const log: string[] = [];
    const part = (name: string): Reward => ({
      ...rewardOf(() => null, { name }).reward,
      [Symbol.asyncDispose]: async () => void log.push(name),
    });
    const { reward } = await compose(
      weighted,
      { terms: [{ use: "a" }, { use: "b" }] },
      { a: part("a"), b: part("b") },
    );
    await expect(reward.score(greyItems([1]), rewardContext())).rejects.toThrow(/no term .*candidate c0/);
    await reward[Symbol.asyncDispose]();
    expect(log).toEqual(["b", "a"]);
    await expect(compose(weighted, { terms: [] }, {})).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  test("cascade: the second reward sees only what passes, and passing ranks above failing", async () => {
    const second = rewardOf((item) => level(item) / 100, { name: "second", range: [0, 1] });
    const { reward, traits } = await compose(
      cascade,
      { first: { use: "bright" }, second: { use: "second" }, threshold: 50 },
      { bright: bright().reward, second: second.reward },
    );
    const { scores, details } = await reward.score(greyItems([60, 20, 90, 49]), rewardContext());
    expect(scores).toEqual([0.6, -30, 0.9, -1]);
    expect(second.batches).toEqual([["c0", "c2"]]);
    expect(details![1]).toEqual({ first: 20, second: null });
    expect(traits.flops).toBe(10);
    const noRange = { first: { use: "bright" }, second: { use: "dark" }, threshold: 1 };
    await expect(compose(cascade, noRange, { bright: bright().reward, dark: dark().reward })).rejects.toThrow(
      /floor is needed, since dark states no range/,
    );
  });
});
