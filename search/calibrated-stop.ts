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
  start,
  step,
} from "../src/core/strategy.ts";
import { acceptanceOf, expectedGain, probabilityRight } from "./acceptance.ts";
import { infeasible, priceOf } from "./fit.ts";

const optionsSchema = z.strictObject({
  price: z
    .number()
    .min(0)
    .max(1)
    .default(0.15)
    .describe(
      "go on while a further unit is expected to raise the probability of a right image by at least this; 0 spends the whole budget",
    ),
});

/**
 * One whole sample after the other, for as long as the next one is worth its price. A calibrated curve says how likely
 * each image is right, from its reward and from how much the prompt decided its tokens (the guidance gap, free with the
 * logits). Easy prompts stop at the first image; prompts on which samples keep failing are given up; what is left goes
 * to those in between. The budget is a limit, and is usually far from spent. A plan shows the worst case.
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
      let best: { population: Population; probability: number } | null = null;
      do {
        const { population, reward, guidanceGap } = yield* sample(space);
        const probability = probabilityRight(curve, reward, guidanceGap);
        probabilities.push(probability);
        const better = best === null || probability > best.probability;
        if (best) yield* release(better ? best.population : population);
        if (better) best = { population, probability };
        // Blank scores of a dry run are no reason to stop: plans show the worst case.
        if (reward > dryScore && expectedGain(curve, probabilities) < (price * next) / space.cost.unit) break;
      } while (next <= space.remaining() * (1 + 1e-12) + space.limit * 1e-10);
      return { finalists: best!.population, best: 0 } satisfies SearchOutcome;
    },
});

/** One finished candidate with its reward and its guidance gap, averaged over the stages. */
function* sample(space: SearchSpace) {
  let population = yield* start(1);
  let gaps = 0;
  while (population.stage < space.scales.length) {
    const seen = yield* step(population);
    population = seen.population;
    gaps += seen.signals.guidanceGap[0]!;
  }
  const [reward] = yield* score(population, space.reward);
  return { population, reward: reward!, guidanceGap: gaps / space.scales.length };
}

function* oneSample(space: SearchSpace): SearchProgram<SearchOutcome> {
  return { finalists: (yield* sample(space)).population, best: 0 };
}
