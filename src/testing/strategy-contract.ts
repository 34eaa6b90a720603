import { describe, expect, it } from "vitest";
import type { Atom } from "../core/benchmark.ts";
import type { Calibration } from "../core/calibration.ts";
import type { Generator } from "../core/generator.ts";
import type { RgbImage } from "../core/image.ts";
import type { Reward } from "../core/reward.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { TraceEvent } from "../core/trace.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import { replayTrace } from "../engine/replay.ts";
import { planInputOf, runSearch, type SearchInput } from "../engine/run-search.ts";
import { toyDefinition } from "../generators/next-scale/toy/definition.ts";
import { toyScore } from "../generators/next-scale/toy/toy-model.ts";
import { canvasDefinition, canvasScore } from "../generators/toys/canvas.ts";
import { clipDefinition, clipScore } from "../generators/toys/clip.ts";

export interface StrategyContractOptions {
  /** Budgets in units; default: 1 to 8. */
  readonly budgets?: readonly number[];
  readonly calibration?: Calibration | null;
}

/** Toys of three kinds, each with a reward that knows its best picture. */
const TOYS: readonly (readonly [name: string, open: () => Promise<Generator>, score: Reward["score"]])[] = [
  [
    "bits by scales",
    () => toyDefinition.open(),
    (batch) => ({ scores: batch.map(({ image, prompt }) => toyScore(image, prompt)) }),
  ],
  [
    "a canvas in groups, with looks ahead",
    () => canvasDefinition.open(),
    (batch) => ({ scores: batch.map(({ image, prompt }) => canvasScore(image, prompt)) }),
  ],
  [
    "vectors by frames",
    () => clipDefinition.open(),
    (batch) => ({
      scores: batch.map(({ image, frames, prompt }) => clipScore(frames ?? [image], prompt)),
    }),
  ],
];

/**
 * What every strategy must keep, as a vitest suite over three toy generators of different kinds: it spends what its plan
 * says and never more than the budget, writes the same trace twice, is decided again identically from it, and answers
 * with a finished candidate.
 *
 * @param name name of the strategy in the report
 * @param load gives its search program
 */
export function describeStrategy(
  name: string,
  load: () => Promise<SearchFunction> | SearchFunction,
  { budgets = [1, 2, 4.5, 8], calibration = null }: StrategyContractOptions = {},
): void {
  describe.each(TOYS)(`strategy contract: ${name} over %s`, (_, open, score) => {
    const inputOf = async (units: number): Promise<SearchInput> => ({
      generator: await open(),
      strategy: await load(),
      rewards: { toy: rewardOf(score) },
      primaryReward: "toy",
      features: pixels,
      task: { prompt: "four colours", seed: 3 },
      units,
      calibration,
    });

    it("spends at most its plan, and never more than the budget", async () => {
      for (const units of budgets) {
        const { spending, plan, limit, candidates, best } = await runSearch(await inputOf(units));
        expect(spending.total).toBeLessThanOrEqual(plan.spending.total * (1 + 1e-9));
        expect(spending.total).toBeLessThanOrEqual(limit * (1 + 1e-9));
        expect(candidates).toContain(best);
      }
    });

    it("writes the same trace twice, and is decided again identically", async () => {
      const input = await inputOf(budgets.at(-1)!);
      const [first, second] = [await trace(input), await trace(await inputOf(budgets.at(-1)!))];
      expect(second).toBe(first);
      const events = first
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as TraceEvent);
      expect(replayTrace(planInputOf(input), events)).toEqual({ agreed: events.length, difference: null });
    });
  });
}

async function trace(input: SearchInput): Promise<string> {
  const lines: string[] = [];
  await runSearch({ ...input, trace: { event: (event) => void lines.push(`${JSON.stringify(event)}\n`) } });
  return lines.join("");
}

function rewardOf(score: Reward["score"]): Reward {
  return {
    name: "toy",
    version: "1",
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: 100,
    license: "MIT",
    source: "how near a picture is to the best one",
    atoms: true,
    async score(batch, context) {
      const { scores } = await score(batch, context);
      const details = Array.from(scores, (near) => ({ atoms: [atomOf(near!)] }));
      return { scores, details };
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** How near as a question, of a skill that strategies treat of its own. */
function atomOf(near: number): Atom {
  return {
    question: "Is it the best picture?",
    expected: "yes",
    skill: near > 0.5 ? "color" : "object",
    parent: [],
    p: Number(near >= 1),
  };
}

/** Sixteen means of an image's rows and columns: enough to tell pictures apart. */
const pixels: FeatureSource = {
  name: "pixels",
  version: "1",
  flops: 50,
  async vectors(images: readonly RgbImage[]) {
    const dim = 16;
    const data = new Float32Array(images.length * dim);
    images.forEach((image, row) => {
      image.data.forEach((value, at) => {
        data[row * dim + (at % dim)]! += value / image.data.length;
      });
    });
    return { dims: [images.length, dim], data };
  },
};
