import type { View } from "../../src/core/generator.ts";
import {
  branch,
  type Population,
  release,
  type SearchProgram,
  select,
  start,
  stepTo,
  tokens,
} from "../../src/core/program.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";
import { pickRows, rowOf, type Tensor } from "../../src/core/tensor.ts";
import { tokenVectors } from "../../src/core/tokens.ts";
import { type Comparison, finishedRoots } from "./answer.ts";
import { squaredDistance } from "./cluster.ts";
import { rowsById } from "./order.ts";
import { placeSchema, resolvePlaces } from "./schedule.ts";

/**
 * Pools of coarse candidates. The coarse scales decide most of an image and cost next to nothing, so many candidates can
 * go through them, and be compared by the tokens drawn there, before any is finished, decoded or scored.
 */
export interface Pool {
  readonly population: Population;
  /** Tokens of the scale that is compared, as vectors (`tokenVectors`). */
  readonly tokens: Tensor;
}

export const poolScaleSchema = placeSchema.default(2 / 12).describe("scale whose tokens are compared");

export function poolScale(space: SearchSpace, place: number): number {
  const count = space.stages.length;
  const [scale] = resolvePlaces([place], count, count - 2, "scale");
  return scale!;
}

export interface PoolPrices {
  /** Stages before which nothing is drawn: once per start. */
  readonly shared: number;
  /** One candidate through the other stages up to the scale that is compared. */
  readonly coarse: number;
  /** One candidate from there to its score by the view that finished ones are compared in. */
  readonly finish: number;
}

/** FLOPs. */
export function poolPrices({ cost, reward }: SearchSpace, scale: number, view: View): PoolPrices {
  const sum = (from: number, to: number): number =>
    cost.stages.slice(from, to).reduce((total, flops) => total + flops, 0);
  const shared = Math.min(cost.shared, scale + 1);
  return {
    shared: sum(0, shared),
    coarse: sum(shared, scale + 1),
    finish: sum(scale + 1, cost.stages.length) + cost.view(view) + cost.reward(reward),
  };
}

export function* drawPool(space: SearchSpace, size: number, scale: number): SearchProgram<Pool> {
  const population = yield* stepTo(yield* start(size), scale + 1);
  return { population, tokens: tokenVectors(space.tokens, yield* tokens(population)) };
}

/** Finished samples one by one; from the second on always the one of a pool that differs most from all before. */
export class SpreadSamples {
  readonly #space: SearchSpace;
  readonly #size: number;
  readonly #scale: number;
  readonly #prices: PoolPrices;
  readonly #answer: number;
  readonly #taken: Float32Array[] = [];
  #pool: Pool | null = null;

  /**
   * @param size candidates of a pool; 1 draws each sample afresh
   * @param how  how finished samples are compared
   */
  constructor(space: SearchSpace, size: number, scale: number, { view, answer }: Comparison) {
    this.#space = space;
    this.#size = size;
    this.#scale = scale;
    this.#prices = poolPrices(space, scale, view);
    this.#answer = answer;
  }

  /** FLOPs of one more sample, with the smallest pool if it needs a new one. */
  get cost(): number {
    const { shared, coarse, finish } = this.#prices;
    return this.#pool ? finish : shared + coarse + finish;
  }

  *next(): SearchProgram<Population> {
    if (this.#size === 1) return yield* finishedRoots(this.#space, 1);
    const pool = this.#pool ?? (yield* drawPool(this.#space, this.#newSize(), this.#scale));
    const row = farthestRow(pool, this.#taken);
    this.#taken.push(rowOf(pool.tokens, row));
    const others = pool.population.ids.flatMap((_, other) => (other === row ? [] : [other]));
    if (others.length === 0) {
      this.#pool = null;
      return yield* stepTo(pool.population, this.#space.stages.length);
    }
    const chosen = yield* branch(pool.population, [row], { rule: "spread" });
    this.#pool = {
      population: yield* select(pool.population, others, { rule: "spread" }),
      tokens: pickRows(pool.tokens, others),
    };
    return yield* stepTo(chosen, this.#space.stages.length);
  }

  /** Lets go of the candidates that nobody finished. */
  *close(): SearchProgram<void> {
    if (this.#pool) yield* release(this.#pool.population);
  }

  /** The first sample comes alone: most searches need no other. */
  #newSize(): number {
    if (this.#taken.length === 0) return 1;
    const { shared, coarse, finish } = this.#prices;
    const affordable =
      coarse > 0 ? (this.#space.remaining() - shared - finish - this.#answer) / coarse : this.#size;
    return Math.max(1, Math.min(this.#size, Math.floor(affordable * (1 + 1e-9))));
  }
}

/** Row whose tokens are farthest (Hamming distance) from the nearest of `taken`; of equal ones that with the lowest id. */
function farthestRow({ population, tokens }: Pool, taken: readonly Float32Array[]): number {
  let best = -1;
  let widest = -1;
  for (const row of rowsById(population.ids)) {
    const own = rowOf(tokens, row);
    const gap = Math.min(...taken.map((other) => squaredDistance(own, other)));
    if (gap <= widest) continue;
    best = row;
    widest = gap;
  }
  return best;
}
