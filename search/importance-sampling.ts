import { z } from "zod";
import { score } from "../src/core/program.ts";
import { defineStrategy } from "../src/core/strategy.ts";
import { samplesSchema } from "./best-of-n.ts";
import { finishedRoots, wholeUnits } from "./parts/answer.ts";
import { resample } from "./parts/resample.ts";
import { logWeights } from "./parts/weights.ts";

/** N finished samples, one of them drawn with weight exp(lambda * reward): self-normalised importance sampling. */
export const importanceSampling = defineStrategy({
  name: "importance-sampling",
  summary: "n full samples, one drawn in proportion to exp(lambda * reward)",
  source: "Chen et al. 2025 (TTS-VAR), baseline",
  options: z.strictObject({
    n: samplesSchema,
    lambda: z.number().min(0).nullable().default(null).describe("null takes the reward's suggestion"),
  }),
  create: ({ n, lambda }) =>
    function* (space) {
      const finalists = yield* finishedRoots(space, n ?? wholeUnits(space));
      const scores = yield* score(finalists, space.reward);
      const logs = logWeights(scores, lambda ?? space.rewards[space.reward]!.suggestedLambda);
      const stream = space.rng.stream("select", "importance-sampling", space.stages.length);
      const [best] = resample("multinomial", finalists.ids, logs, 1, stream);
      return { finalists, best: best! };
    },
});
