import { z } from "zod";
import { type SearchOutcome, type SearchProgram, select } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { samplesSchema } from "./best-of-n.ts";
import { answerBestOf, comparison, draftsSchema } from "./parts/answer.ts";
import { infeasible } from "./parts/fit.ts";
import { drawPool, type PoolPrices, poolPrices, poolScale, poolScaleSchema } from "./parts/pool.ts";
import { selectDiverse } from "./parts/select-diverse.ts";

const optionsSchema = z.strictObject({
  n: samplesSchema,
  ratio: z
    .number()
    .min(1)
    .default(4)
    .describe("candidates in the pool for each that is finished; fewer where the budget pays for no more"),
  scale: poolScaleSchema,
  drafts: draftsSchema,
  keep: z
    .int()
    .positive()
    .default(1)
    .describe("with drafts: samples whose full picture is decoded at the end"),
});
type SpreadOptions = z.output<typeof optionsSchema>;

/**
 * Best-of-n whose samples are chosen to differ: a pool of many candidates goes through the coarse scales, and those whose
 * tokens are farthest from each other (Hamming distance, greedy farthest point) are finished.
 */
export const spread = defineStrategy({
  name: "spread",
  summary: "best of n that differ most in their coarse tokens, out of a pool that costs little",
  source: "this project; Gonzalez 1985 (farthest point)",
  options: optionsSchema,
  create: (options) => (space) => run(space, options),
});

function* run(space: SearchSpace, options: SpreadOptions): SearchProgram<SearchOutcome> {
  const scale = poolScale(space, options.scale);
  const how = comparison(space, options.drafts);
  const { n, pool } = sizes(space, options, poolPrices(space, scale, how.view), options.keep * how.answer);
  const { population, tokens } = yield* drawPool(space, pool, scale);
  const equal = new Float64Array(pool);
  const picks = selectDiverse("farthest-point", population.ids, tokens, equal, n);
  const chosen = yield* select(population, picks, { rule: "spread" });
  return yield* answerBestOf(space, chosen, how, options.keep);
}

/** As many samples as the budget pays for with their share of the pool, but rather two without than one with it. */
function sizes(
  space: SearchSpace,
  { n: given, ratio }: SpreadOptions,
  { shared, coarse, finish }: PoolPrices,
  answers: number,
): { n: number; pool: number } {
  const fixed = space.cost.prompt + shared + answers;
  const left = space.limit * (1 + 1e-9) - fixed;
  const alone = Math.floor(left / (coarse + finish));
  if (alone < 1) throw infeasible(fixed + coarse + finish, space);
  const n = given ?? Math.max(Math.floor(left / (ratio * coarse + finish)), Math.min(2, alone));
  const affordable = coarse > 0 ? Math.floor((left - n * finish) / coarse) : Number.POSITIVE_INFINITY;
  return { n, pool: Math.max(n, Math.min(Math.round(ratio * n), affordable)) };
}
