import { z } from "zod";
import { dependent, likely } from "../src/core/atoms.ts";
import type { Atom } from "../src/core/benchmark.ts";
import { dryScore } from "../src/core/dry-run.ts";
import { atoms, type SearchOutcome, type SearchProgram, score, start } from "../src/core/program.ts";
import { defineStrategy, type SearchSpace } from "../src/core/strategy.ts";
import { answerBest, type Comparison, comparison, draftsSchema } from "./parts/answer.ts";
import { infeasible } from "./parts/fit.ts";
import { bestRow } from "./parts/order.ts";
import { copyAt, finishWithPast, letGo, onlyOf, type WithPast } from "./parts/past.ts";
import { placeSchema, resolvePlaces } from "./parts/schedule.ts";

const optionsSchema = z.strictObject({
  n: z.int().positive().default(1).describe("finished samples to begin with"),
  restarts: z
    .record(z.string(), placeSchema)
    .default({})
    .describe(
      "scale from which a picture is drawn anew when a question of this skill fails (object, count, position, color, ...): an index, or a fraction of the way to the last scale",
    ),
  otherwise: placeSchema.default(0).describe("the same for all other skills; 0 draws another sample instead"),
  drafts: draftsSchema,
});
type RouteOptions = z.output<typeof optionsSchema>;

/**
 * An atom-wise reward says *what* is wrong, and that decides where to draw anew: say, pictures with a wrong order or number from
 * the coarse scales on, those with a wrong colour only from finer ones, out of a kept state of the best picture so far. What
 * scores better takes its place; after a move that did not help the next one starts a scale earlier. Ends when nothing is
 * wrong, or nothing more can be paid.
 *
 * By default all failures lead to another sample, because that repairs most on the embedded generator (results/route).
 */
export const route = defineStrategy({
  name: "route",
  summary: "the best sample drawn anew from the scale that its failed questions point to, until none fails",
  source: "this project; EPIC and RAISE 2026 (moves by failed predicate)",
  options: optionsSchema,
  create: (options) => (space) => run(space, options),
});

function* run(space: SearchSpace, options: RouteOptions): SearchProgram<SearchOutcome> {
  const { n } = options;
  const how = comparison(space, options.drafts);
  const places = placesOf(space, options);
  const price = (scale: number): number => priceFrom(space, scale, how);
  const allowed = allowance(space, n, places.deepest, how);
  const { view } = how;
  const stages = space.stages.length;

  const roots = yield* finishWithPast(yield* start(n), stages, places.deepest);
  const scores = yield* score(roots.population, space.reward, { view });
  const first = bestRow(roots.population.ids, scores);
  let best = n === 1 ? roots : yield* onlyOf(roots, first, { rule: "best", scores });
  let value = scores[first]!;
  const dry = value === dryScore;
  let failed = yield* failedOf(space, best, how);
  let left = allowed.flops;
  let misses = 0;
  for (let move = 0; dry || failed.length > 0; move++) {
    // A dry run spends what the dearest search would: nobody knows yet where it will be sent.
    const wanted = dry
      ? move < allowed.fresh
        ? 0
        : places.deepest
      : Math.max(0, places.earliest(failed) - misses);
    const scale = firstAffordable(wanted, places.deepest, price, left);
    if (scale === null) break;
    left -= price(scale);
    const why = { rule: "restart", scale, failed: failed.map(({ question }) => question) };
    const moment = best.past[scale];
    const from = moment ? yield* copyAt(moment, why) : yield* start(1);
    const other = yield* finishWithPast(from, stages, places.deepest, moment ? best.past : []);
    const found = (yield* score(other.population, space.reward, { view }))[0]!;
    const better = found > value;
    yield* letGo(better ? best : other, (better ? other : best).past);
    misses = better ? 0 : misses + 1;
    if (!better) continue;
    [best, value] = [other, found];
    failed = yield* failedOf(space, best, how);
  }
  if (how.answer > 0) return yield* answerBest(space, best.population);
  return { finalists: best.population, best: 0 };
}

/** Questions that the picture does not answer as expected, or that depend on such. */
function* failedOf(
  space: SearchSpace,
  { population }: WithPast,
  { view }: Comparison,
): SearchProgram<Atom[]> {
  const [told = []] = yield* atoms(population, space.reward, { view });
  if (told.length === 0) return [];
  const holds = dependent(told).map(likely);
  return told.filter((_, at) => !holds[at]);
}

interface Places {
  /** The latest scale that any failure leads to. */
  readonly deepest: number;
  /** The earliest scale that these failures lead to. */
  earliest(failed: readonly Atom[]): number;
}

function placesOf({ stages: { length } }: SearchSpace, { restarts, otherwise }: RouteOptions): Places {
  const scaleOf = (place: number, what: string): number =>
    resolvePlaces([place], length, length - 1, what)[0]!;
  const other = scaleOf(otherwise, "otherwise");
  const bySkill = new Map(
    Object.entries(restarts).map(([skill, place]) => [skill, scaleOf(place, `restarts.${skill}`)]),
  );
  return {
    deepest: Math.max(other, ...bySkill.values()),
    earliest: (failed) => Math.min(...failed.map(({ skill }) => bySkill.get(skill) ?? other)),
  };
}

/** FLOPs of drawing a candidate from a scale on and comparing it. */
function priceFrom({ cost, reward }: SearchSpace, scale: number, { view }: Comparison): number {
  const drawing = cost.stages.slice(scale).reduce((sum, flops) => sum + flops, 0);
  return drawing + cost.view(view) + cost.reward(reward);
}

/**
 * What moves may cost in all: the most that some number of fresh samples and of the cheapest moves comes to within the
 * budget. So a plan, which makes just these, is never exceeded wherever failures lead.
 */
function allowance(space: SearchSpace, n: number, deepest: number, how: Comparison) {
  const { cost, limit, reward } = space;
  const drawing = cost.stages.reduce((sum, flops, stage) => sum + (stage < cost.shared ? 1 : n) * flops, 0);
  const needed = cost.prompt + drawing + n * (cost.view(how.view) + cost.reward(reward)) + how.answer;
  const slack = limit * 1e-9;
  if (needed > limit + slack) throw infeasible(needed, space);
  const [fresh, cheapest] = [priceFrom(space, 0, how), priceFrom(space, deepest, how)];
  const rest = limit - needed + slack;
  let most = { fresh: 0, flops: 0 };
  for (let count = Math.floor(rest / fresh); count >= 0; count--) {
    const flops = count * fresh + Math.floor((rest - count * fresh) / cheapest) * cheapest;
    if (flops > most.flops + slack) most = { fresh: count, flops };
  }
  return { ...most, flops: most.flops + slack };
}

/** The first scale from `wanted` on whose move is paid for; null if there is none. */
function firstAffordable(
  wanted: number,
  deepest: number,
  price: (scale: number) => number,
  left: number,
): number | null {
  for (let scale = wanted; scale <= deepest; scale++) if (price(scale) <= left) return scale;
  return null;
}
