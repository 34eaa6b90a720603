import { z } from "zod";
import type { PruningSchedule } from "../src/core/calibration.ts";
import { type SearchOutcome, type SearchProgram, score, select, start, stepTo } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest } from "./parts/answer.ts";
import { type Belief, calibrationAt, updateBeliefs } from "./parts/calibrate.ts";
import { sizedToFit, widest } from "./parts/fit.ts";
import { pick, topRows } from "./parts/order.ts";
import { placeSchema, previewSchema, previewView, resolvePlaces, scaledWidths } from "./parts/schedule.ts";

const optionsSchema = z.strictObject({
  scales: z
    .array(placeSchema)
    .nullable()
    .default(null)
    .describe("scales to cut after; null: the calibration's best schedule, or 0.4, 0.6 and 0.8 of the way"),
  ratio: z.number().gt(1).default(2).describe("share kept at each cut is 1/ratio"),
  shape: z
    .array(z.number().positive())
    .min(2)
    .nullable()
    .default(null)
    .describe("widths before the first and after each cut, relative to each other; overrides ratio"),
  calibrated: z.boolean().default(true).describe("rank by calibrated scores when the run has a calibration"),
  preview: previewSchema.default("auto"),
});
type HalvingOptions = z.output<typeof optionsSchema>;

/**
 * Sequential halving: many candidates through the cheap coarse scales, the better part of them through the next, and so
 * on. Never copies. With a calibration, scores of several scales are combined by precision (calibrate.ts).
 */
export const halving = defineStrategy({
  name: "halving",
  summary: "progressive pruning: wide at cheap scales, the best share kept at each cut",
  source: "Karnin et al. 2013 (sequential halving); progressive seed pruning 2026",
  options: optionsSchema,
  create: (options) => sizedToFit((space, multiplier) => run(space, options, multiplier), widest),
});

function* run(space: SearchSpace, options: HalvingOptions, multiplier: number): SearchProgram<SearchOutcome> {
  const { places, widths } = scheduleOf(space, options, multiplier);
  const view = previewView(space, options.preview);
  let population = yield* start(widths[0]!);
  let beliefs: Belief[] | null = null;
  for (const [cut, scale] of places.entries()) {
    const width = widths[cut + 1] ?? widths.at(-1)!;
    if (width >= population.ids.length) continue;
    population = yield* stepTo(population, scale + 1);
    const scores = yield* score(population, space.reward, { view });
    const curve = options.calibrated ? calibrationAt(space.calibration, scale) : null;
    if (curve) beliefs = updateBeliefs(curve, scores, beliefs);
    const ranked: ArrayLike<number> = curve ? beliefs!.map(({ mean }) => mean) : scores;
    const picks = topRows(population.ids, ranked, width);
    population = yield* select(population, picks, {
      rule: "halve",
      calibrated: curve !== null,
      scores: ranked,
    });
    beliefs = beliefs && pick(beliefs, picks);
  }
  return yield* answerBest(space, population);
}

/** Scales to cut after, and the widths before the first and after each cut. */
function scheduleOf(space: SearchSpace, options: HalvingOptions, multiplier: number) {
  const count = space.stages.length;
  const best = options.calibrated && options.scales === null ? nearestSchedule(space) : null;
  const places = best
    ? best.cuts.map(({ scale }) => scale)
    : resolvePlaces(options.scales ?? [0.4, 0.6, 0.8], count, count - 2, "scales");
  const even = [...places, 0].map((_, cut) => options.ratio ** (places.length - cut));
  const shape = options.shape ?? (best ? [best.start, ...best.cuts.map(({ keep }) => keep)] : even);
  return { places, widths: scaledWidths(shape, multiplier) };
}

/** The calibration's schedule for the nearest budget, by ratio. */
function nearestSchedule({ calibration, units }: SearchSpace): PruningSchedule | null {
  const distance = (schedule: PruningSchedule): number => Math.abs(Math.log(schedule.units / units));
  return [...(calibration?.schedules ?? [])].sort((a, b) => distance(a) - distance(b))[0] ?? null;
}
