import type { CostKind, Spending } from "../core/budget.ts";
import type { Calibration } from "../core/calibration.ts";
import { dryRun } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import { draftsOf, type GeneratorTraits } from "../core/generator.ts";
import type { RewardTraits } from "../core/reward.ts";
import { createRng } from "../core/rng.ts";
import type { SearchFunction, SearchSpace } from "../core/strategy.ts";
import { createCostModel } from "./cost-model.ts";
import { type MemoryPlan, planMemory } from "./memory-plan.ts";

/** What plans need of a generator; a manifest is enough, no weights. */
export type PlannedGenerator = Pick<
  GeneratorTraits,
  "stages" | "shape" | "looks" | "can" | "tokens" | "cost" | "memory"
>;

/** Everything that decides what a search costs. No weights: traits and manifests are enough. */
export interface PlanInput {
  readonly generator: PlannedGenerator;
  readonly strategy: SearchFunction;
  readonly rewards: Readonly<Record<string, RewardTraits>>;
  readonly primaryReward: string;
  /** FLOPs per image of the feature source, or null without one. */
  readonly features: { readonly flops: number } | null;
  readonly units: number;
  readonly calibration: Calibration | null;
  readonly seed?: number | string;
  readonly prompt?: string;
  /** Stages whose tokens the task gives; default: none. */
  readonly keep?: number;
  /** Texts that the task has; default: one. */
  readonly prompts?: number;
  /** Bytes that the generator may take; default: any number. */
  readonly maxMemory?: number;
}

export interface PlanRow {
  readonly stage: number;
  readonly label: string;
  /** Candidates that the stage is computed for, and that go on after it. */
  readonly widthIn: number;
  readonly widthOut: number;
  readonly decodes: number;
  readonly scores: number;
  readonly features: number;
  readonly decisions: number;
  readonly flops: Readonly<Record<CostKind, number>>;
}

/** What a search will cost at most, by stage and kind, before any model is loaded. */
export interface SearchPlan {
  readonly rows: readonly PlanRow[];
  readonly spending: Spending;
  /** FLOPs of one unit, and of the whole budget. */
  readonly unit: number;
  readonly limit: number;
  /** The budget and the plan's total, in units. */
  readonly units: number;
  readonly total: number;
  /** Null for generators that do not estimate theirs. */
  readonly memory: MemoryPlan | null;
}

/** The search space that a strategy sees; `remaining` is the driver's. */
export function createSpace(input: PlanInput, remaining: (limit: number) => number): SearchSpace {
  if (!(input.units > 0) || !Number.isFinite(input.units)) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `--budget must be a positive number of units, not ${input.units}`,
    );
  }
  const { generator } = input;
  const cost = createCostModel({
    ...input,
    keep: input.keep ?? 0,
    prompts: input.prompts ?? 1,
    featureFlops: input.features?.flops ?? null,
  });
  const limit = input.units * cost.unit;
  return {
    stages: generator.stages,
    shape: generator.shape,
    looks: generator.looks,
    drafts: draftsOf(generator.cost),
    can: generator.can,
    tokens: generator.tokens,
    cost,
    units: input.units,
    limit,
    remaining: () => remaining(limit),
    rng: createRng(input.seed ?? 0, input.prompt ?? ""),
    reward: input.primaryReward,
    rewards: input.rewards,
    calibration: input.calibration,
  };
}

/**
 * Prices a strategy by a dry run of its own program.
 *
 * @throws BUDGET_INFEASIBLE with the numbers when the program needs more than the budget; MEMORY_INFEASIBLE likewise;
 *   CONFIG_INVALID when it needs features and the run has no feature source
 */
export function planSearch(input: PlanInput): SearchPlan {
  const space = createSpace(input, (limit) => limit);
  const { rows, spending } = dryRun(input.strategy, space, ({ action }) => {
    const { type } = action;
    if ((type === "refine" || type === "rewind") && !space.can.includes(type)) {
      throw new TtsVarError("CONFIG_INVALID", `the strategy wants to ${type}, which this generator cannot`);
    }
    if (action.type === "atoms") expectAtoms(input.rewards, action.reward);
  });
  const { unit } = space.cost;
  if (spending.total > space.limit * (1 + 1e-9)) {
    const needed = spending.total / unit;
    throw new TtsVarError(
      "BUDGET_INFEASIBLE",
      `this search needs ${needed.toFixed(3)} units (${spending.total.toExponential(3)} FLOPs) but --budget allows ` +
        `${input.units} (${space.limit.toExponential(3)}); raise --budget to ${Math.ceil(needed * 100) / 100} or narrow the schedule`,
      {
        details: {
          needed,
          units: input.units,
          flops: spending.total,
          limit: space.limit,
          unit,
          byKind: spending.byKind,
        },
      },
    );
  }
  if (!input.features && rows.some((row) => row.features > 0)) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      "this strategy clusters on image features, but the run has no feature source; set features",
    );
  }
  return {
    rows: rows.map((row) => ({ ...row, label: input.generator.stages[row.stage]!.label })),
    spending,
    unit,
    limit: space.limit,
    units: input.units,
    total: spending.total / unit,
    memory: memoryOf(input, space),
  };
}

function expectAtoms(rewards: PlanInput["rewards"], name: string): void {
  if (rewards[name]?.atoms) return;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `the strategy asks which questions a picture fails, but reward ${name} gives one number; use one that tells them ` +
      "(`atoms` in its traits): --reward geneval, vlm with its option `questions`, or one of your own",
  );
}

function memoryOf(input: PlanInput, space: SearchSpace): MemoryPlan | null {
  const { generator, strategy, maxMemory = Number.POSITIVE_INFINITY } = input;
  const { memory } = generator;
  return memory && planMemory({ generator, memory, strategy, space, limit: maxMemory });
}
