import { z } from "zod";
import { type SearchOutcome, type SearchProgram, score, select, start, stepTo } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest } from "./parts/answer.ts";
import { sizedToFit, widest } from "./parts/fit.ts";
import { topRows } from "./parts/order.ts";
import { placeSchema, previewSchema, previewView, resolvePlaces, scaledWidths } from "./parts/schedule.ts";

const rewardName = z.string().min(1).nullable().default(null);

const optionsSchema = z.strictObject({
  early: rewardName.describe("cheap reward for many coarse previews; null takes the run's reward"),
  late: rewardName.describe(
    "expensive reward for few fine previews and the final choice; null takes the run's reward",
  ),
  earlyScale: placeSchema.default(0.5),
  lateScale: placeSchema.default(0.75),
  shape: z
    .tuple([z.number().positive(), z.number().positive(), z.number().positive()])
    .default([12, 3, 1])
    .describe("candidates before the early cut, after it, and after the late cut, relative to each other"),
  preview: previewSchema.default("auto"),
  latePreview: previewSchema.default(1),
});
type CascadeOptions = z.output<typeof optionsSchema>;

/** Verifiers by price: a cheap one thins out many early, an expensive one chooses among few late. */
export const cascade = defineStrategy({
  name: "cascade",
  summary: "a cheap reward early on many candidates, an expensive one late on few",
  source: "Viola and Jones 2001; verifier cascades of GridAR and SANA-1.5",
  options: optionsSchema,
  create: (options) => sizedToFit((space, multiplier) => run(space, options, multiplier), widest),
});

function* run(space: SearchSpace, options: CascadeOptions, multiplier: number): SearchProgram<SearchOutcome> {
  const count = space.stages.length;
  const [early, late] = resolvePlaces(
    [options.earlyScale, options.lateScale],
    count,
    count - 2,
    "earlyScale, lateScale",
  );
  const [wide, middle, narrow] = scaledWidths(options.shape, multiplier);
  const stages = [
    { scale: early, width: middle!, reward: options.early ?? space.reward, preview: options.preview },
    { scale: late, width: narrow!, reward: options.late ?? space.reward, preview: options.latePreview },
  ];
  let population = yield* start(wide!);
  for (const { scale, width, reward, preview } of stages) {
    if (scale === undefined || width >= population.ids.length) continue;
    population = yield* stepTo(population, scale + 1);
    const scores = yield* score(population, reward, { view: previewView(space, preview) });
    population = yield* select(population, topRows(population.ids, scores, width), {
      rule: "cascade",
      reward,
      scores,
    });
  }
  return yield* answerBest(space, population, options.late ?? space.reward);
}
