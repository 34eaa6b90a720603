import { TtsVarError } from "./errors.ts";

/** What floating-point operations are spent on. `transformer` is further split by stage in the meter. */
export type CostKind = "text" | "transformer" | "decode" | "features" | "reward";
export const COST_KINDS: readonly CostKind[] = ["text", "transformer", "decode", "features", "reward"];

/** FLOPs (2 per multiply-accumulate) by kind, and by stage for the transformer. */
export interface Spending {
  readonly total: number;
  readonly byKind: Readonly<Record<CostKind, number>>;
  readonly byStage: readonly number[];
}

/**
 * Meters a search against a limit in FLOPs. `charge` is called before the work is done, so a search can never spend
 * more than its limit: it fails first, with the numbers.
 */
export class Budget {
  readonly limit: number;
  #total = 0;
  readonly #byKind: Record<CostKind, number> = { text: 0, transformer: 0, decode: 0, features: 0, reward: 0 };
  readonly #byStage: number[];

  constructor(limit: number, stageCount: number) {
    this.limit = limit;
    this.#byStage = new Array<number>(stageCount).fill(0);
  }

  charge(kind: CostKind, flops: number, stage?: number): void {
    // The relative slack absorbs rounding of sums only: costs are products of integers, far from 1e-9 apart.
    if (this.#total + flops > this.limit * (1 + 1e-9)) {
      throw new TtsVarError(
        "BUDGET_EXCEEDED",
        `${kind} needs ${flops.toExponential(3)} FLOPs but only ${(this.limit - this.#total).toExponential(3)} ` +
          `of ${this.limit.toExponential(3)} are left; raise --budget or narrow the schedule`,
        { details: { kind, flops, spent: this.#total, limit: this.limit } },
      );
    }
    this.#total += flops;
    this.#byKind[kind] += flops;
    if (stage !== undefined) this.#byStage[stage] = (this.#byStage[stage] ?? 0) + flops;
  }

  spent(): number {
    return this.#total;
  }

  remaining(): number {
    return this.limit - this.#total;
  }

  spending(): Spending {
    return { total: this.#total, byKind: { ...this.#byKind }, byStage: [...this.#byStage] };
  }
}
