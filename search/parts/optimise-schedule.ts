import type { Calibration, PruningSchedule } from "../../src/core/calibration.ts";
import { FULL_VIEW, type View } from "../../src/core/generator.ts";
import { createRng } from "../../src/core/rng.ts";
import type { CostModel } from "../../src/core/strategy.ts";

export interface OptimiseInput {
  readonly calibration: Calibration;
  readonly cost: CostModel;
  /** Reward that previews are scored with, and their size. */
  readonly reward: string;
  readonly preview: View;
  readonly units: number;
  /** Simulated prompts per schedule. */
  readonly trials?: number;
}

/** Ratios between neighbouring widths, and numbers of finished candidates, that are tried. */
const ratios = [1.5, 2.5, 4, 8];
const finishes = [1, 2, 3, 4, 6, 8];
const maxStart = 1024;

/**
 * The pruning schedule with the highest expected final reward for a budget: enumerates cuts and widths, fills each
 * budget from the start, and scores it by Monte Carlo under the measured correlations.
 *
 * Model: what a preview of scale k tells of the final reward is a martingale whose variance is the squared correlation
 * c_k^2 (made non-decreasing), so a candidate's belief gains independent N(0, c_k^2 - c_{k-1}^2) from scale to scale.
 * All schedules see the same draws.
 */
export function optimiseSchedule(input: OptimiseInput): PruningSchedule {
  const { cost, units, trials = 200 } = input;
  const limit = units * cost.unit;
  const scales = cost.stages.length;
  const known = explained(input.calibration, scales);
  const draws = new Draws(scales, trials);
  let best: PruningSchedule | null = null;
  for (const cuts of subsets(scales - 1, 3)) {
    for (const widths of widthLists(cuts.length)) {
      const start = largestStart(input, cuts, widths, limit);
      if (start === 0 || (cuts.length > 0 && start <= widths[0]!)) continue;
      const schedule = { start, cuts: cuts.map((scale, index) => ({ scale, keep: widths[index]! })) };
      const expected = simulate(schedule, known, draws, trials);
      if (best === null || expected > best.expected + 1e-12) best = { units, ...schedule, expected };
    }
  }
  if (best === null) throw new RangeError(`no schedule fits ${units} units`);
  return best;
}

/** FLOPs of a pruning schedule; what `halving` is charged for it. */
export function priceOfSchedule(
  input: Pick<OptimiseInput, "cost" | "reward" | "preview">,
  { start, cuts }: Pick<PruningSchedule, "start" | "cuts">,
): number {
  const { cost, reward, preview } = input;
  let width = start;
  let total = cost.prompt;
  cost.stages.forEach((flops, scale) => {
    total += flops * (scale < cost.shared ? 1 : width);
    const cut = cuts.find((each) => each.scale === scale);
    if (!cut || cut.keep >= width) return;
    total += width * (cost.view(preview) + cost.reward(reward));
    width = cut.keep;
  });
  return total + width * (cost.view(FULL_VIEW) + cost.reward(reward));
}

/** Squared correlations by scale, non-decreasing, 1 at the end. */
function explained({ scales: curve }: Calibration, scales: number): number[] {
  let highest = 0;
  return Array.from({ length: scales }, (_, scale) => {
    const row = curve.find((each) => each.scale === scale);
    highest = scale === scales - 1 ? 1 : Math.max(highest, Math.max(0, row?.correlation ?? 0) ** 2);
    return highest;
  });
}

function largestStart(
  input: OptimiseInput,
  cuts: readonly number[],
  widths: readonly number[],
  limit: number,
): number {
  const price = (start: number): number =>
    priceOfSchedule(input, { start, cuts: cuts.map((scale, index) => ({ scale, keep: widths[index]! })) });
  let low = 0;
  let high = maxStart + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (price(middle) <= limit) low = middle;
    else high = middle;
  }
  return low;
}

/** Mean final reward of the answers. */
function simulate(
  { start, cuts }: Pick<PruningSchedule, "start" | "cuts">,
  known: readonly number[],
  draws: Draws,
  trials: number,
): number {
  let sum = 0;
  for (let trial = 0; trial < trials; trial++) {
    let rows = Array.from({ length: start }, (_, row) => row);
    const beliefs = new Float64Array(start);
    let before = 0;
    for (const { scale, keep } of [...cuts, { scale: known.length - 1, keep: 1 }]) {
      const gain = Math.sqrt(known[scale]! - before);
      before = known[scale]!;
      for (const row of rows) beliefs[row]! += gain * draws.normal(trial, row, scale);
      if (keep < rows.length) rows = rows.sort((a, b) => beliefs[b]! - beliefs[a]!).slice(0, keep);
    }
    sum += beliefs[rows[0]!]!;
  }
  return sum / trials;
}

/** Common random numbers of all schedules: one normal per trial, candidate and scale, made when first needed. */
class Draws {
  readonly #scales: number;
  readonly #normals: Float64Array;
  readonly #stream = createRng("optimise-schedule", "").stream("stats", "draws", 0);

  constructor(scales: number, trials: number) {
    this.#scales = scales;
    this.#normals = new Float64Array(scales * trials * (maxStart + 1)).fill(Number.NaN);
  }

  normal(trial: number, row: number, scale: number): number {
    const at = (trial * (maxStart + 1) + row) * this.#scales + scale;
    const known = this.#normals[at]!;
    if (!Number.isNaN(known)) return known;
    const value = this.#stream.normal(at);
    this.#normals[at] = value;
    return value;
  }
}

/** All ascending subsets of 0..count-1 with at most `most` members. */
function subsets(count: number, most: number): number[][] {
  let all: number[][] = [[]];
  for (let member = 0; member < count; member++) {
    all = [...all, ...all.filter((set) => set.length < most).map((set) => [...set, member])];
  }
  return all;
}

/** Widths kept after each cut, descending, by ratios from the finished number up. */
function widthLists(cuts: number): number[][] {
  if (cuts === 0) return [[]];
  let lists = finishes.map((finish) => [finish]);
  for (let cut = 1; cut < cuts; cut++) {
    lists = lists.flatMap((list) => ratios.map((ratio) => [Math.ceil(list[0]! * ratio), ...list]));
  }
  return lists.filter((list) => list[0]! <= maxStart / 2);
}
