import { createRng, type Rng } from "../../core/rng.ts";
import { normalCdf, normalQuantile } from "./normal.ts";

/** One prompt: the stratum (GenEval tag) it belongs to, and one value per replicate (image). */
export interface Cell {
  readonly stratum: string;
  readonly values: readonly number[];
}

export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

export interface Intervals {
  /** Confidence level, such as 0.95. */
  readonly level: number;
  readonly draws: number;
  /** What is resampled: prompts and their replicates (a claim about new prompts), or replicates only (these prompts). */
  readonly scope: "new-prompts" | "these-prompts";
  readonly method: "BCa" | "percentile";
  readonly byStratum: Readonly<Record<string, Interval>>;
  /** Unweighted mean of the strata. */
  readonly overall: Interval;
}

export interface BootstrapOptions {
  /** Equal seeds give equal intervals. */
  readonly seed: number | string;
  readonly scope: Intervals["scope"];
  readonly draws?: number;
  readonly level?: number;
}

/**
 * Two-level bootstrap, stratified: prompts are resampled within their stratum, then replicates within each drawn prompt
 * (Efron and Tibshirani 1993). Intervals over new prompts are bias-corrected and accelerated (BCa), the acceleration by
 * the jackknife over prompts; intervals for fixed prompts are percentiles.
 *
 * @throws RangeError without cells, or for a cell without values
 */
export function bootstrap(cells: readonly Cell[], options: BootstrapOptions): Intervals {
  const draws = options.draws ?? 10_000;
  const level = options.level ?? 0.95;
  const strata = groupByStratum(cells);
  const random = new Uniforms(createRng(options.seed, "bootstrap"), options.scope);

  const names = [...strata.keys()];
  const drawn = new Map(names.map((name) => [name, new Float64Array(draws)]));
  const overall = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    let sum = 0;
    for (const [name, prompts] of strata) {
      const mean = resampledMean(prompts, options.scope === "new-prompts", random);
      drawn.get(name)![draw] = mean;
      sum += mean;
    }
    overall[draw] = sum / names.length;
  }

  const bca = options.scope === "new-prompts";
  const interval = (estimate: number, values: Float64Array, influence: readonly number[][]): Interval => ({
    estimate,
    ...(bca ? bcaBounds(estimate, values, influence, level) : percentileBounds(values, level)),
  });
  const byStratum = Object.fromEntries(
    [...strata].map(([name, prompts]) => [
      name,
      interval(meanOf(prompts), drawn.get(name)!, [influences(prompts)]),
    ]),
  );
  const estimate = names.reduce((sum, name) => sum + byStratum[name]!.estimate, 0) / names.length;
  const all = [...strata.values()].map(influences);
  return {
    level,
    draws,
    scope: options.scope,
    method: bca ? "BCa" : "percentile",
    byStratum,
    overall: interval(estimate, overall, all),
  };
}

function groupByStratum(cells: readonly Cell[]): Map<string, readonly (readonly number[])[]> {
  if (cells.length === 0) throw new RangeError("a bootstrap needs at least one prompt");
  const strata = new Map<string, (readonly number[])[]>();
  for (const { stratum, values } of cells) {
    if (values.length === 0) throw new RangeError(`a prompt of ${stratum} has no images`);
    const prompts = strata.get(stratum) ?? [];
    strata.set(stratum, prompts);
    prompts.push(values);
  }
  return strata;
}

type Prompts = readonly (readonly number[])[];

function meanOf(prompts: Prompts): number {
  const values = prompts.flat();
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function resampledMean(prompts: Prompts, drawPrompts: boolean, random: Uniforms): number {
  let sum = 0;
  let count = 0;
  for (let index = 0; index < prompts.length; index++) {
    const values = prompts[drawPrompts ? random.below(prompts.length) : index]!;
    for (let replicate = 0; replicate < values.length; replicate++)
      sum += values[random.below(values.length)]!;
    count += values.length;
  }
  return sum / count;
}

/** Uniform whole numbers from consecutive blocks of a stream; blocks, because four draws cost as much as one. */
class Uniforms {
  readonly #rng: Rng;
  readonly #name: string;
  readonly #block = new Float64Array(1 << 15);
  #blocks = 0;
  #position = this.#block.length;

  constructor(rng: Rng, name: string) {
    this.#rng = rng;
    this.#name = name;
  }

  below(limit: number): number {
    if (limit === 1) return 0;
    if (this.#position === this.#block.length) {
      this.#rng.stream("stats", this.#name, this.#blocks++).fill(this.#block);
      this.#position = 0;
    }
    return Math.floor(this.#block[this.#position++]! * limit);
  }
}

/** Jackknife influence of each prompt on its stratum's mean. */
function influences(prompts: Prompts): number[] {
  const sums = prompts.map((values) => values.reduce((sum, value) => sum + value, 0));
  const total = sums.reduce((sum, value) => sum + value, 0);
  const count = prompts.reduce((sum, values) => sum + values.length, 0);
  if (prompts.length < 2) return [0];
  const without = prompts.map((values, index) => (total - sums[index]!) / (count - values.length));
  const center = without.reduce((sum, value) => sum + value, 0) / without.length;
  return without.map((value) => (center - value) * (prompts.length - 1));
}

function percentileBounds(values: Float64Array, level: number): { low: number; high: number } {
  const sorted = values.toSorted();
  return { low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

function bcaBounds(
  estimate: number,
  values: Float64Array,
  influence: readonly number[][],
  level: number,
): { low: number; high: number } {
  const sorted = values.toSorted();
  const below = values.reduce((n, value) => n + (value < estimate ? 1 : value === estimate ? 0.5 : 0), 0);
  // A bootstrap that never falls on one side has no finite correction; its percentiles are all there is to say.
  const share = below / values.length;
  if (share <= 0 || share >= 1) return percentileBounds(values, level);
  const bias = normalQuantile(share);
  // Strata of n_h prompts weigh 1 / n_h each in their mean; equal weights of the strata cancel in the ratio.
  let cubes = 0;
  let squares = 0;
  for (const stratum of influence) {
    for (const value of stratum) {
      const weighted = value / stratum.length;
      cubes += weighted ** 3;
      squares += weighted ** 2;
    }
  }
  const acceleration = squares === 0 ? 0 : cubes / (6 * squares ** 1.5);
  const adjusted = (probability: number): number => {
    const z = bias + normalQuantile(probability);
    return normalCdf(bias + z / (1 - acceleration * z));
  };
  return {
    low: quantile(sorted, adjusted((1 - level) / 2)),
    high: quantile(sorted, adjusted((1 + level) / 2)),
  };
}

/** Quantile by linear interpolation between order statistics. */
function quantile(sorted: Float64Array, probability: number): number {
  const at = Math.min(Math.max(probability, 0), 1) * (sorted.length - 1);
  const lower = Math.floor(at);
  const upper = Math.min(lower + 1, sorted.length - 1);
  return sorted[lower]! + (sorted[upper]! - sorted[lower]!) * (at - lower);
}
