import { z } from "zod";
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
      .describe("reward that chooses; null takes the run's reward"),
  }),
  create: ({ n, judge }) =>
    function* (space) {
      const family = (count: number) =>
        function* (inner: typeof space) {
          return yield* answerBest(inner, yield* finishedRoots(inner, count), judge ?? inner.reward);
        };
      return yield* family(n ?? Math.min(wholeUnits(space), mostWhole(family, space)))(space);
    },
});
