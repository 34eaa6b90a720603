import { z } from "zod";
import {
  features,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  stepTo,
} from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest } from "./parts/answer.ts";
import { calibrationAt } from "./parts/calibrate.ts";
import { sizedToFit, widest } from "./parts/fit.ts";
import { placeSchema, previewSchema, previewView, resolvePlaces, scaledWidths } from "./parts/schedule.ts";
import { DIVERSITY_RULES, selectDiverse } from "./parts/select-diverse.ts";
import { paperClusters, paperResamplings } from "./parts/tts-var-plan.ts";
import { standardise } from "./parts/weights.ts";

const optionsSchema = z.strictObject({
  rule: z.enum(DIVERSITY_RULES).default("dpp"),
  scales: z
    .array(placeSchema)
    .default([...paperClusters, ...paperResamplings])
    .describe("scales to cut after"),
  shape: z
    .array(z.number().positive())
    .min(2)
    .default([8, 6, 4, 2, 1])
    .describe("widths before the first and after each cut, relative to each other"),
  strength: z.number().min(0).default(1).describe("weight of quality against diversity"),
  preview: previewSchema.default("auto"),
});
type QualityDiversityOptions = z.output<typeof optionsSchema>;

/**
 * One rule for both phases of TTS-VAR: keep the subset that is diverse *and* good, with quality counting as much as
 * previews of that scale can be trusted. Unreliable previews leave pure diversity, reliable ones pure quality.
 */
export const qualityDiversity = defineStrategy({
  name: "quality-diversity",
  summary: "one rule for both phases: diverse subsets with quality weights that grow with reliability",
  source: "Kulesza and Taskar 2012 (k-DPP); Chen, Zhang and Zhou 2018 (greedy MAP)",
  options: optionsSchema,
  create: (options) => sizedToFit((space, multiplier) => run(space, options, multiplier), widest),
});

function* run(
  space: SearchSpace,
  options: QualityDiversityOptions,
  multiplier: number,
): SearchProgram<SearchOutcome> {
  const count = space.stages.length;
  const places = resolvePlaces(options.scales, count, count - 2, "scales");
  const widths = scaledWidths(options.shape, multiplier);
  const view = previewView(space, options.preview);
  let population = yield* start(widths[0]!);
  for (const [cut, scale] of places.entries()) {
    const width = widths[cut + 1] ?? widths.at(-1)!;
    if (width >= population.ids.length) continue;
    population = yield* stepTo(population, scale + 1);
    const vectors = yield* features(population, { view });
    const scores = yield* score(population, space.reward, { view });
    const trust = reliability(space, scale);
    const quality = standardise(scores).map((value) => (options.strength * odds(trust) * value) / 2);
    const picks = selectDiverse(options.rule, population.ids, vectors, quality, width);
    population = yield* select(population, picks, { rule: options.rule, reliability: trust, quality });
  }
  return yield* answerBest(space, population);
}

/** Share of the final reward's variance that a preview explains: measured, or else the scale's relative position. */
function reliability(space: SearchSpace, scale: number): number {
  const curve = calibrationAt(space.calibration, scale);
  return curve ? Math.max(0, curve.correlation) ** 2 : scale / (space.stages.length - 1);
}

/** Signal over noise, bounded: 0 for an uninformative preview, 20 for a perfect one. */
function odds(share: number): number {
  return share / (1 - share + 0.05);
}
