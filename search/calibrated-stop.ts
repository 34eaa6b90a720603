import { z } from "zod";
import { dryScore } from "../src/core/dry-run.ts";
import {
  type Population,
  release,
  type SearchOutcome,
  type SearchProgram,
  score,
} from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { acceptanceOf, expectedGain, probabilityRight } from "./parts/acceptance.ts";
import { comparison, draftsSchema } from "./parts/answer.ts";
import { infeasible } from "./parts/fit.ts";
import { poolScale, poolScaleSchema, SpreadSamples } from "./parts/pool.ts";

const optionsSchema = z.strictObject({
  price: z
    .number()
    .min(0)
    .max(1)
    .default(0.18)
    .describe(
      "go on while a further unit is expected to raise the probability of a right image by at least this; 0 spends the whole budget",
    ),
  pool: z
    .int()
    .min(1)
    .default(8)
    .describe(
      "coarse candidates to choose further samples from, each as different as can be from those before; 1 draws each afresh",
    ),
  scale: poolScaleSchema,
  drafts: draftsSchema,
});
type StopOptions = z.output<typeof optionsSchema>;

/**
 * One whole sample after the other, for as long as the next one is worth its price. A calibrated curve says how likely
 * each image is right given its reward. Easy prompts stop at the first image; prompts on which samples keep failing are
 * given up; what is left goes to those in between. Further samples are those of a coarse pool that differ most from what
 * was tried (see `spread`). The budget is a limit, and is usually far from spent. A plan shows the worst case.
 */
export const calibratedStop = defineStrategy({
  name: "calibrated-stop",
  summary: "whole samples one by one, until another is not worth its price by a calibrated pass probability",
  source: "this project; Weitzman 1979 (reservation values)",
  options: optionsSchema,
  create: (options) => (space) => run(space, options),
});

function* run(space: SearchSpace, options: StopOptions): SearchProgram<SearchOutcome> {
  const curve = acceptanceOf(space, "calibrated-stop");
  const how = comparison(space, options.drafts);
  const { view, answer } = how;
  const samples = new SpreadSamples(space, options.pool, poolScale(space, options.scale), how);
  const sampleCost = samples.cost;
  const needed = space.cost.prompt + sampleCost + answer;
  if (needed > space.limit * (1 + 1e-9)) throw infeasible(needed, space);
  const probabilities: number[] = [];
  let best: { population: Population; reward: number } | null = null;
  do {
    const population = yield* samples.next();
    const reward = (yield* score(population, space.reward, { view }))[0]!;
    probabilities.push(probabilityRight(curve, reward));
    const better = best === null || reward > best.reward;
    if (best) yield* release(better ? best.population : population);
    if (better) best = { population, reward };
    // Blank scores of a dry run are no reason to stop: plans show the worst case.
    if (
      reward > dryScore &&
      expectedGain(curve, probabilities) < (options.price * sampleCost) / space.cost.unit
    )
      break;
  } while (samples.cost + answer <= space.remaining() * (1 + 1e-12) + space.limit * 1e-10);
  yield* samples.close();
  return { finalists: best!.population, best: 0 };
}
