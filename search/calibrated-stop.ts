import { z } from "zod";
import { dryScore } from "../src/core/dry-run.ts";
import {
  defineStrategy,
  type Population,
  release,
  type SearchOutcome,
  type SearchProgram,
  type SearchSpace,
  score,
} from "../src/core/strategy.ts";
import { acceptanceOf, expectedGain, probabilityRight } from "./acceptance.ts";
import { answerBest, finishedRoots } from "./answer.ts";
import { infeasible, priceOf } from "./fit.ts";

const optionsSchema = z.strictObject({
  price: z
    .number()
    .min(0)
    .max(1)
    .default(0.18)
    .describe(
      "go on while a further unit is expected to raise the probability of a right image by at least this; 0 spends the whole budget",
    ),
});

/**
 * One whole sample after the other, for as long as the next one is worth its price. A calibrated curve says how likely
 * each image is right given its reward. Easy prompts stop at the first image; prompts on which samples keep failing are
 * given up; what is left goes to those in between. The budget is a limit, and is usually far from spent. A plan shows the
 * worst case.
 */
export const calibratedStop = defineStrategy({
  name: "calibrated-stop",
  summary: "whole samples one by one, until another is not worth its price by a calibrated pass probability",
  source: "this project; Weitzman 1979 (reservation values)",
  options: optionsSchema,
  create: ({ price }) =>
    function* (space) {
      const curve = acceptanceOf(space, "calibrated-stop");
      const sampleCost = priceOf(oneSample, space);
      if (sampleCost > space.limit * (1 + 1e-9)) throw infeasible(sampleCost, space);
      // The text encoder is paid with the first sample; every further one costs this.
      const next = sampleCost - space.cost.text;
      const probabilities: number[] = [];
      let best: { population: Population; reward: number } | null = null;
      do {
        const population = yield* finishedRoots(space, 1);
        const reward = (yield* score(population, space.reward))[0]!;
        probabilities.push(probabilityRight(curve, reward));
        const better = best === null || reward > best.reward;
        if (best) yield* release(better ? best.population : population);
        if (better) best = { population, reward };
        // Blank scores of a dry run are no reason to stop: plans show the worst case.
        if (reward > dryScore && expectedGain(curve, probabilities) < (price * next) / space.cost.unit) break;
      } while (next <= space.remaining() * (1 + 1e-12) + space.limit * 1e-10);
      return { finalists: best!.population, best: 0 } satisfies SearchOutcome;
    },
});

function* oneSample(space: SearchSpace): SearchProgram<SearchOutcome> {
  return yield* answerBest(space, yield* finishedRoots(space, 1));
}
