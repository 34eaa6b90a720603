import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import { defineStrategy } from "../src/core/strategy.ts";
import { samplesSchema } from "./best-of-n.ts";
import { answerBest, finishedRoots, wholeUnits } from "./parts/answer.ts";
import { mostWhole } from "./parts/fit.ts";

/** Positive control: the best that any choice among n samples could reach. For studies: it is judged by its own judge. */
export const oracle = defineStrategy({
  name: "oracle",
  summary: "control for studies: n full samples, chosen by the judge itself; must equal pass@n",
  source: "positive control",
  options: z.strictObject({
    n: samplesSchema,
    judge: z
      .string()
      .min(1)
      .nullable()
      .default(null)
      .describe("reward that chooses: judge in a study; there is no other default"),
  }),
  create: ({ n, judge }) =>
    function* (space) {
      // By the run's own reward it would be best-of-n under a name that promises more.
      if (judge === null) {
        throw new TtsVarError(
          "CONFIG_INVALID",
          `the strategy oracle needs to be told who judges: in a study set judge to "judge"; here, name a reward (${Object.keys(space.rewards).join(", ")}), or use best-of-n`,
        );
      }
      const family = (count: number) =>
        function* (inner: typeof space) {
          return yield* answerBest(inner, yield* finishedRoots(inner, count), judge);
        };
      return yield* family(n ?? Math.min(wholeUnits(space), mostWhole(family, space)))(space);
    },
});
