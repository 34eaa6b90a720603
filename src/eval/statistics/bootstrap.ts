import { createRng, type Rng } from "../../core/rng.ts";
import { byStratum, type Cell, type Interval, type Intervals, overallOf } from "./intervals.ts";

export interface BootstrapOptions {
  /** Equal seeds give equal intervals. */
  readonly seed: number | string;
  readonly draws?: number;
  readonly level?: number;
  /** As for `intervals`. */
  readonly shares?: ReadonlyMap<string, number> | undefined;
}

/**
 * Intervals for exactly these prompts: a stratified bootstrap of the replicates within each prompt, percentiles. With one
 * image per prompt nothing is left to vary: such data say nothing of other images of the same prompts.
 *
 * @throws RangeError without cells, or for a cell without values
 */
export function bootstrap(
  cells: readonly Cell[],
  { seed, draws = 10_000, level = 0.95, shares }: BootstrapOptions,
): Intervals & { readonly draws: number } {
  const strata = byStratum(cells);
  const random = new Uniforms(createRng(seed, "bootstrap"), "these-prompts");
  const names = [...strata.keys()];
  const drawn = new Map(names.map((name) => [name, new Float64Array(draws)]));
  const overall = new Float64Array(draws);
  for (let draw = 0; draw < draws; draw++) {
    const means: { name: string; mean: number }[] = [];
    for (const [name, prompts] of strata) {
      const mean = resampledMean(prompts, random);
      drawn.get(name)![draw] = mean;
      means.push({ name, mean });
    }
    overall[draw] = overallOf(means, shares);
  }
  const intervals = Object.fromEntries(
    [...strata].map(([name, prompts]) => [name, interval(meanOf(prompts), drawn.get(name)!, level)]),
  );
  const estimate = overallOf(
    names.map((name) => ({ name, mean: intervals[name]!.estimate })),
    shares,
  );
  return {
    level,
    draws,
    scope: "these-prompts",
    method: "percentile",
    byStratum: intervals,
    overall: interval(estimate, overall, level),
  };
}

type Prompts = readonly (readonly number[])[];

function meanOf(prompts: Prompts): number {
  const values = prompts.flat();
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function resampledMean(prompts: Prompts, random: Uniforms): number {
  let sum = 0;
  let count = 0;
  for (const values of prompts) {
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

function interval(estimate: number, values: Float64Array, level: number): Interval {
  const sorted = values.toSorted();
  return { estimate, low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) };
}

/** Quantile by linear interpolation between order statistics. */
function quantile(sorted: Float64Array, probability: number): number {
  const at = Math.min(Math.max(probability, 0), 1) * (sorted.length - 1);
  const lower = Math.floor(at);
  const upper = Math.min(lower + 1, sorted.length - 1);
  return sorted[lower]! + (sorted[upper]! - sorted[lower]!) * (at - lower);
}
