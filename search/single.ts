import { z } from "zod";
import { defineStrategy } from "../src/core/strategy.ts";
import { answerBest, finishedRoots } from "./parts/answer.ts";

/** The baseline without search. */
export const single = defineStrategy({
  name: "single",
  summary: "one sample, no search",
  source: "baseline",
  options: z.strictObject({}),
  create: () =>
    function* (space) {
      return yield* answerBest(space, yield* finishedRoots(space, 1));
    },
});
