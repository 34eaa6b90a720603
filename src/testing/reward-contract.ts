import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Reward, RewardContext, RewardItem } from "../core/reward.ts";
import { syntheticBatch } from "../scoring/synthetic-batch.ts";

/** Loading weights on a busy machine takes longer than the runner allows hooks by default. */
const OPENING_MS = 120_000;

export interface RewardContractOptions {
  /** Images to score; default: five synthetic ones. */
  readonly items?: readonly RewardItem[];
  /** Largest relative difference between scores of one image; default: 1e-6. */
  readonly tolerance?: number;
}

/**
 * What every reward must keep, as a vitest suite: traits that plans can use, one finite score an item in the batch's
 * order, equal scores when asked again, in any order and alone, and nothing outside its stated range.
 *
 * @param name name of the reward in the report
 * @param open opens it; called once, disposed of at the end
 */
export function describeReward(
  name: string,
  open: () => Promise<Reward>,
  { items = syntheticBatch("a photo of a red square"), tolerance = 1e-6 }: RewardContractOptions = {},
): void {
  describe(`reward contract: ${name}`, () => {
    let reward: Reward;
    let first: number[];
    beforeAll(async () => {
      reward = await open();
      first = await scores(items);
    }, OPENING_MS);
    afterAll(async () => reward?.[Symbol.asyncDispose](), OPENING_MS);

    const context: RewardContext = {
      signal: new AbortController().signal,
      stage: { kind: "final", index: 0, count: 1 },
      seed: 0,
      log: () => undefined,
    };
    const scores = async (batch: readonly RewardItem[]): Promise<number[]> =>
      Array.from((await reward.score(batch, context)).scores, (score) => score ?? Number.NaN);
    const near = (found: readonly number[], expected: readonly number[]): void => {
      expect(found).toHaveLength(expected.length);
      found.forEach((score, index) => {
        const limit = tolerance * Math.max(1, Math.abs(expected[index]!));
        expect(Math.abs(score - expected[index]!)).toBeLessThanOrEqual(limit);
      });
    };

    it("has traits that plans and strategies can use", () => {
      const { direction, range, suggestedLambda, flops, license, source, version } = reward;
      expect(["higher", "lower"]).toContain(direction);
      if (range) expect(range[0]).toBeLessThan(range[1]);
      expect(suggestedLambda).toBeGreaterThan(0);
      expect(flops).toBeGreaterThanOrEqual(0);
      for (const text of [reward.name, license, source, version]) expect(text).not.toBe("");
    });

    it("gives one finite score an item, within its range", () => {
      expect(first).toHaveLength(items.length);
      for (const score of first) {
        expect(Number.isFinite(score)).toBe(true);
        if (!reward.range) continue;
        expect(score).toBeGreaterThanOrEqual(reward.range[0]);
        expect(score).toBeLessThanOrEqual(reward.range[1]);
      }
    });

    it("gives the same scores again, in reversed order, and to an image alone", async () => {
      near(await scores(items), first);
      near((await scores(items.toReversed())).reverse(), first);
      near(await scores(items.slice(1, 2)), first.slice(1, 2));
    });
  });
}
