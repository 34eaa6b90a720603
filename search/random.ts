import { z } from "zod";
import { defineStrategy } from "../src/core/strategy.ts";
import { samplesSchema } from "./best-of-n.ts";
import { finishedRoots, wholeUnits } from "./parts/answer.ts";
import { resample } from "./parts/resample.ts";

/** Negative control: must score like a single sample, whatever the budget. */
export const random = defineStrategy({
  name: "random",
  summary: "control: n full samples, one drawn blindly; must equal a single sample",
  source: "negative control",
  options: z.strictObject({ n: samplesSchema }),
  create: ({ n }) =>
    function* (space) {
      const finalists = yield* finishedRoots(space, n ?? wholeUnits(space));
      const equal = new Float64Array(finalists.ids.length);
      const stream = space.rng.stream("select", "random", space.stages.length);
      const [best] = resample("multinomial", finalists.ids, equal, 1, stream);
      return { finalists, best: best! };
    },
});
