import { z } from "zod";
import {
  type Population,
  release,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  stepTo,
} from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { infeasible, priceOf } from "./parts/fit.ts";
import { bestRow, topRows } from "./parts/order.ts";
import { placeSchema, previewSchema, previewView, resolvePlaces } from "./parts/schedule.ts";

const optionsSchema = z.strictObject({
  threshold: z
    .number()
    .nullable()
    .default(null)
    .describe(
      "accept a finished image whose verifier score is at least this (at most, for rewards where lower is better); null never accepts",
    ),
  verifier: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe("reward that accepts; null takes the run's reward"),
  width: z.int().positive().default(4).describe("candidates of a round before its cut to one"),
  scale: placeSchema.default(0.6).describe("scale of the cut"),
  preview: previewSchema.default("auto"),
});
type RestartOptions = z.output<typeof optionsSchema>;

/**
 * Rounds of fresh candidates until a verifier accepts one or the budget is out: easy prompts stop after a round, hard
 * ones get all there is. A plan shows the worst case. The answer is the best finished image of all rounds.
 */
export const restart = defineStrategy({
  name: "restart",
  summary: "fresh rounds until a verifier accepts or the budget is out",
  source: "Weitzman 1979 (reservation values); verifier-threshold search 2025",
  options: optionsSchema,
  create: (options) =>
    function* (space) {
      const verifier = options.verifier ?? space.reward;
      const sign = space.rewards[verifier]?.direction === "lower" ? -1 : 1;
      const accepts = (value: number): boolean =>
        options.threshold !== null && value >= sign * options.threshold;
      let best: { population: Population; value: number } | null = null;
      for (;;) {
        const width = affordable(space, options, best === null);
        if (width === 0) break;
        const population = yield* round(space, options, width);
        const value = (yield* score(population, verifier))[0]!;
        const better = best === null || value > best.value;
        if (best) yield* release(better ? best.population : population);
        if (better) best = { population, value };
        if (accepts(value)) break;
      }
      return { finalists: best!.population, best: 0 } satisfies SearchOutcome;
    },
});

/** The widest round, up to the configured width, that what is left pays for; 0 if none. */
function affordable(space: SearchSpace, options: RestartOptions, first: boolean): number {
  const verifier = options.verifier ?? space.reward;
  for (let width = options.width; width >= 1; width--) {
    const alone = function* (inner: SearchSpace): SearchProgram<SearchOutcome> {
      const finalists = yield* round(inner, options, width);
      const scores = yield* score(finalists, verifier);
      return { finalists, best: bestRow(finalists.ids, scores) };
    };
    // A dry run prices the round with the text encoder, paid once, and with the final score that the answer needs.
    const needed = priceOf(alone, space) - (first ? 0 : space.cost.prompt);
    if (needed <= space.remaining() * (1 + 1e-12) + space.limit * 1e-10) return width;
    if (first && width === 1) throw infeasible(needed, space);
  }
  return 0;
}

function* round(space: SearchSpace, options: RestartOptions, width: number): SearchProgram<Population> {
  const count = space.stages.length;
  let population = yield* start(width);
  const [scale] = resolvePlaces([options.scale], count, count - 2, "scale");
  if (width > 1 && scale !== undefined) {
    population = yield* stepTo(population, scale + 1);
    const scores = yield* score(population, space.reward, { view: previewView(space, options.preview) });
    population = yield* select(population, topRows(population.ids, scores, 1), { rule: "round", scores });
  }
  return yield* stepTo(population, count);
}
