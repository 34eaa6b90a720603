import { z } from "zod";
import { defineStrategy } from "../src/core/strategy.ts";
import { answerBest, finishedRoots, wholeUnits } from "./parts/answer.ts";

export const samplesSchema = z
  .int()
  .positive()
  .nullable()
  .default(null)
  .describe("number of samples; null takes as many as the budget has whole units");

/** N finished samples, the best by the reward. At `--budget N` exactly N. */
export const bestOfN = defineStrategy({
  name: "best-of-n",
  summary: "n full samples, keep the best by the reward",
  source: "baseline; Ma et al. 2025 (random search)",
  options: z.strictObject({ n: samplesSchema }),
  create: ({ n }) =>
    function* (space) {
      return yield* answerBest(space, yield* finishedRoots(space, n ?? wholeUnits(space)));
    },
});
