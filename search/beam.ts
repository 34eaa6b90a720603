import { z } from "zod";
import {
  branch,
  release,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  step,
  stepTo,
} from "../src/core/program.ts";
import { defineStrategy, type SearchFunction, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest } from "./parts/answer.ts";
import { infeasible, priceOf, sizedToFit } from "./parts/fit.ts";
import { topRows } from "./parts/order.ts";
import { placeSchema, resolvePlaces } from "./parts/schedule.ts";

const optionsSchema = z.strictObject({
  beams: z.int().positive().nullable().default(null).describe("null: what the budget pays for"),
  continuations: z.int().min(2).nullable().default(null).describe("per beam; null: what the budget pays for"),
  scales: z
    .array(placeSchema)
    .nullable()
    .default(null)
    .describe("scales to verify after; null: all, coarse ones first when the budget is short"),
});
type BeamOptions = z.output<typeof optionsSchema>;

interface Beam {
  readonly beams: number;
  readonly continuations: number;
  /** Scales after which prefixes are verified on roll-outs. */
  readonly scales: readonly number[];
}

/**
 * Beam search with look-ahead to the end: after a scale every prefix is rolled out to a finished image, the `beams`
 * prefixes with the best images are kept, and each goes on in `continuations` ways.
 *
 * A kept prefix's first continuation keeps its parent's random stream, so it repeats the roll-out that was verified:
 * its outcome is known, is not paid for again, and the best verified image is never lost.
 */
export const beam = defineStrategy({
  name: "beam",
  summary: "w beams of c continuations each, verified on full roll-outs after each scale",
  source: "Riise, Kaya and Papadopoulos 2025 (beam search for VAR)",
  options: optionsSchema,
  create: (options) =>
    sizedToFit(
      (space, index) => run(space, settingsOf(options, space)[index]!),
      (programs, space) => chooseSetting(options, programs, space),
    ),
});

/**
 * Settings that the options allow. Verifying after all scales comes first, then after ever fewer coarse ones; a single
 * sample comes last, if everything is left to the budget.
 */
function settingsOf({ beams, continuations, scales }: BeamOptions, space: SearchSpace): Beam[] {
  const count = space.stages.length;
  const all = resolvePlaces(
    scales ?? space.stages.slice(0, -1).map(({ index }) => index),
    count,
    count - 2,
    "scales",
  );
  const sizes = (fixed: number | null, least: number, most: number): number[] =>
    fixed === null ? Array.from({ length: most - least + 1 }, (_, index) => index + least) : [fixed];
  const shortest = scales ? all.length : Math.min(1, all.length);
  const settings: Beam[] = [];
  for (let verified = all.length; verified >= shortest; verified--) {
    for (const w of sizes(beams, 1, 4)) {
      for (const c of sizes(continuations, 2, 8)) {
        settings.push({ beams: w, continuations: c, scales: all.slice(0, verified) });
      }
    }
  }
  if (beams === null && continuations === null && !scales)
    settings.push({ beams: 1, continuations: 1, scales: [] });
  return settings;
}

/** Index of the setting that uses the budget best: the most verified scales first, then the highest price. */
function chooseSetting(
  options: BeamOptions,
  program: (index: number) => SearchFunction,
  space: SearchSpace,
): number {
  const priced = settingsOf(options, space).map((setting, index) => ({
    index,
    verified: setting.scales.length,
    price: priceOf(program(index), space),
  }));
  const affordable = priced.filter(({ price }) => price <= space.limit * (1 + 1e-9));
  affordable.sort((a, b) => b.verified - a.verified || b.price - a.price || a.index - b.index);
  const best = affordable[0];
  if (!best) throw infeasible(Math.min(...priced.map(({ price }) => price)), space);
  return best.index;
}

function* run(space: SearchSpace, { beams, continuations, scales }: Beam): SearchProgram<SearchOutcome> {
  let population = yield* start(beams * continuations);
  /** Reward of each row's finished image where a roll-out has shown it. */
  let known: (number | null)[] = population.ids.map(() => null);
  for (const { index: scale } of space.stages.slice(0, -1)) {
    population = (yield* step(population)).population;
    if (!scales.includes(scale)) continue;
    const unknown = known.flatMap((reward, row) => (reward === null ? [row] : []));
    const rollouts = yield* stepTo(
      yield* branch(population, unknown, { rule: "roll out" }),
      space.stages.length,
    );
    const rewards = yield* score(rollouts, space.reward);
    yield* release(rollouts);
    const outcomes = known.map((reward, row) => reward ?? rewards[unknown.indexOf(row)]!);
    const kept = topRows(population.ids, outcomes, beams);
    const picks = kept.flatMap((row) => new Array<number>(continuations).fill(row));
    population = yield* select(population, picks, { rule: "beam", outcomes });
    known = picks.map((row, index) => (index % continuations === 0 ? outcomes[row]! : null));
  }
  return yield* answerBest(space, population);
}
