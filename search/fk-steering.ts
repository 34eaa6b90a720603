import { z } from "zod";
import { type SearchOutcome, type SearchProgram, score, select, start, stepTo } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { mostWhole, sizedToFit } from "./parts/fit.ts";
import { bestRow, pick } from "./parts/order.ts";
import { POTENTIALS, potential } from "./parts/potentials.ts";
import { RESAMPLINGS, resample } from "./parts/resample.ts";
import { placeSchema, previewSchema, previewView, resolvePlaces } from "./parts/schedule.ts";
import { effectiveSampleSize, normalise } from "./parts/weights.ts";

const optionsSchema = z.strictObject({
  particles: z.int().positive().nullable().default(null).describe("null: what the budget pays for"),
  scales: z.array(placeSchema).default([0.4, 0.6, 0.8]),
  potential: z.enum(POTENTIALS).default("max"),
  topQ: z.int().positive().default(2),
  lambda: z.number().min(0).nullable().default(null).describe("null takes the reward's suggestion"),
  essTrigger: z
    .number()
    .gt(0)
    .max(1)
    .nullable()
    .default(0.5)
    .describe("resample when the effective sample size falls below this share; null: always"),
  resampling: z.enum(RESAMPLINGS).default("multinomial"),
  correction: z
    .boolean()
    .default(true)
    .describe("divide the potentials out again at the end, so that the result targets exp(lambda * reward)"),
  preview: previewSchema.default("auto"),
});
type FkOptions = z.output<typeof optionsSchema>;

/**
 * Feynman-Kac steering: a constant number of particles, weighted by potentials of preview rewards, resampled when their
 * effective number falls, and corrected at the end by exp(lambda * reward) over the product of all past potentials.
 */
export const fkSteering = defineStrategy({
  name: "fk-steering",
  summary: "particles weighted by reward potentials, resampled on low effective size, corrected at the end",
  source: "Singhal et al. 2025 (FK steering), sections 3 and 4",
  options: optionsSchema,
  create: (options) =>
    sizedToFit((space, particles) => run(space, options, particles), mostWhole, options.particles),
});

function* run(space: SearchSpace, options: FkOptions, particles: number): SearchProgram<SearchOutcome> {
  const count = space.stages.length;
  const lambda = options.lambda ?? space.rewards[space.reward]!.suggestedLambda;
  const view = previewView(space, options.preview);
  let population = yield* start(particles);
  let histories: number[][] = population.ids.map(() => []);
  /** Log weights since the last resampling, and log potentials over the whole lineage. */
  let carried = new Float64Array(particles);
  let applied = new Float64Array(particles);
  const places = particles > 1 ? resolvePlaces(options.scales, count, count - 2, "scales") : [];
  for (const scale of places) {
    population = yield* stepTo(population, scale + 1);
    const scores = yield* score(population, space.reward, { view });
    histories = histories.map((history, row) => [...history, scores[row]!]);
    const logs = histories.map((history) => lambda * potential(options.potential, history, options.topQ));
    applied = applied.map((sum, row) => sum + logs[row]!);
    carried = carried.map((sum, row) => sum + logs[row]!);
    const ess = effectiveSampleSize(normalise(carried));
    if (options.essTrigger !== null && ess >= options.essTrigger * particles) continue;
    const stream = space.rng.stream("select", "fk-steering", scale);
    const picks = resample(options.resampling, population.ids, carried, particles, stream);
    population = yield* select(population, picks, {
      rule: "resample",
      lambda,
      ess,
      weights: normalise(carried),
    });
    histories = pick(histories, picks);
    applied = Float64Array.from(pick(applied, picks));
    carried = new Float64Array(particles);
  }
  population = yield* stepTo(population, count);
  const rewards = yield* score(population, space.reward);
  const final = carried.map(
    (sum, row) => sum + lambda * rewards[row]! - (options.correction ? applied[row]! : 0),
  );
  const stream = space.rng.stream("select", "fk-steering", count);
  const drawn = resample(options.resampling, population.ids, final, particles, stream);
  const survivors = [...new Set(drawn)];
  const best = bestRow(pick(population.ids, survivors), pick(rewards, survivors));
  return { finalists: population, best: survivors[best]! };
}
