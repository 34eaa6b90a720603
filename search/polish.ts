import { z } from "zod";
import type { View } from "../src/core/generator.ts";
import { branch, refine, release, type SearchOutcome, score, select } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest, comparison, draftsSchema, finishedRoots, wholeUnits } from "./parts/answer.ts";
import { bestRow } from "./parts/order.ts";

const optionsSchema = z.strictObject({
  n: z
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe("finished samples to begin with; null takes half of the budget's whole units"),
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(0.25)
    .describe("share of the last stage's tokens that a move draws again"),
  drafts: draftsSchema.describe(
    "compare samples and moves by their drafts, where the model has them; the answer is decoded in full",
  ),
});

/**
 * Repairs instead of drawing anew: of some finished samples the best one has its least certain tokens drawn again, move by
 * move, and what scores better is kept. A move costs the pass, the view and the score: with `drafts` a cheap view, and the
 * full one once, at the end. With models that cannot `refine` everything goes into samples.
 */
export const polish = defineStrategy({
  name: "polish",
  summary: "finished samples, then the best one's least certain tokens drawn again, kept if better",
  source: "masked prediction of Kumbong et al. 2025 (HMAR) as a move of hill climbing",
  options: optionsSchema,
  create: ({ n, share, drafts }) =>
    function* (space) {
      const able = space.can.includes("refine");
      const { view, answer } = comparison(space, drafts && able);
      const move = able ? priceOfMove(space, share, view) : Number.POSITIVE_INFINITY;
      const units = wholeUnits(space);
      const roots = yield* finishedRoots(space, n ?? (able ? Math.ceil(units / 2) : units));
      const scores = yield* score(roots, space.reward, { view });
      const first = bestRow(roots.ids, scores);
      let best = yield* select(roots, [first], { rule: "best", scores });
      let value = scores[first]!;
      while (move + answer <= space.remaining() * (1 + 1e-12)) {
        const copy = yield* branch(best, [0], { rule: "refine" });
        const { population } = yield* refine(copy, share);
        const found = (yield* score(population, space.reward, { view }))[0]!;
        const better = found > value;
        yield* release(better ? best : population);
        if (better) [best, value] = [population, found];
      }
      if (answer > 0) return yield* answerBest(space, best);
      return { finalists: best, best: 0 } satisfies SearchOutcome;
    },
});

function priceOfMove({ cost, stages, reward }: SearchSpace, share: number, view: View): number {
  return cost.refine(stages.length - 1, share) + cost.view(view) + cost.reward(reward);
}
