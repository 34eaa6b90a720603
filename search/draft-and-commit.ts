import { z } from "zod";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { samplesSchema } from "./best-of-n.ts";
import { answerBestOf, type Comparison, comparison, finishedRoots, wholeUnits } from "./parts/answer.ts";
import { infeasible } from "./parts/fit.ts";

const optionsSchema = z.strictObject({
  n: samplesSchema.describe("number of samples; null: as many as the budget pays for"),
  keep: z.int().positive().default(2).describe("samples whose full picture is decoded and scored at the end"),
});

/**
 * Best-of-n through the draft decoder: all samples are compared by their drafts, and only the best few are decoded in full.
 * Without a draft decoder this is best-of-n.
 */
export const draftAndCommit = defineStrategy({
  name: "draft-and-commit",
  summary:
    "more samples than best-of-n for the same budget: all compared as drafts, the best few decoded in full",
  source: "this project; CachedSearch 2026 (draft, verify, commit), Layton 2025 (two-quality decoder)",
  options: optionsSchema,
  create: ({ n, keep }) =>
    function* (space) {
      const how = comparison(space, true);
      const finished = yield* finishedRoots(space, n ?? affordable(space, how, keep));
      return yield* answerBestOf(space, finished, how, keep);
    },
});

function affordable(space: SearchSpace, { view, answer }: Comparison, keep: number): number {
  if (answer === 0) return wholeUnits(space);
  const { cost, reward, limit } = space;
  const sum = (stages: readonly number[]): number => stages.reduce((total, flops) => total + flops, 0);
  const once = cost.prompt + sum(cost.stages.slice(0, cost.shared));
  const each = sum(cost.stages.slice(cost.shared)) + cost.view(view) + cost.reward(reward);
  const needed = once + each + answer;
  if (needed > limit * (1 + 1e-9)) throw infeasible(needed, space);
  // Fewer answers are decoded where the budget pays for no more samples than these.
  const of = (answers: number): number => Math.floor((limit * (1 + 1e-9) - once - answers * answer) / each);
  return Math.max(of(keep), Math.min(of(1), keep - 1), 1);
}
