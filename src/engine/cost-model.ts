import { TtsVarError } from "../core/errors.ts";
import {
  FULL_VIEW,
  type GeneratorCost,
  type GeneratorTraits,
  sharedStages,
  sidesOf,
} from "../core/generator.ts";
import type { RewardTraits } from "../core/reward.ts";
import type { CostModel } from "../core/strategy.ts";

/** What prices need of a generator. */
export type PricedGenerator = Pick<GeneratorTraits, "stages" | "shape" | "cost">;

export interface CostInput {
  readonly generator: PricedGenerator;
  /** Stages whose tokens the task gives. */
  readonly keep: number;
  /** Texts that the task has: its prompt, and those that take its place. */
  readonly prompts: number;
  readonly rewards: Readonly<Record<string, Pick<RewardTraits, "flops">>>;
  readonly primaryReward: string;
  /** FLOPs per image of the feature source; null when there is none. */
  readonly featureFlops: number | null;
}

/** One model per (generator, prices), so that strategies can remember what they fitted to it. */
const models = new WeakMap<GeneratorCost, Map<string, CostModel>>();

/**
 * FLOPs of everything a search can ask for. The unit of `--budget` is one full generation on its own: prompt, every
 * stage, the final view and the final score.
 *
 * @throws PLUGIN_UNKNOWN (from `reward`) for a reward that the run does not have
 */
export function createCostModel(input: CostInput): CostModel {
  const { generator, keep, prompts, rewards, primaryReward, featureFlops } = input;
  const known = models.get(generator.cost) ?? new Map<string, CostModel>();
  models.set(generator.cost, known);
  const prices = Object.entries(rewards).map(([name, { flops }]) => [name, flops]);
  const key = JSON.stringify([keep, prompts, primaryReward, featureFlops, prices]);
  const model = known.get(key) ?? build(input);
  known.set(key, model);
  return model;
}

function build(input: CostInput): CostModel {
  const { generator, keep, prompts, rewards, primaryReward } = input;
  const { cost, shape } = generator;
  const view: CostModel["view"] = (asked, stage = cost.stages.length) => {
    const { [asked.look]: full } = asked.quality === "draft" ? (cost.drafts ?? {}) : cost.views;
    if (full === undefined) {
      const has = `it looks ${Object.keys(cost.views).join(", ")}`;
      const drafts = `it drafts ${Object.keys(cost.drafts ?? {}).join(", ") || "nothing"}`;
      throw new TtsVarError(
        "CONFIG_INVALID",
        `the strategy asks for a ${asked.quality ?? "full"} look ${asked.look}, which this generator cannot give: ${has}, and ${drafts}`,
      );
    }
    // By cells of the grain first: whole numbers, so that shares of them are exact.
    const cells = (shape.width / shape.grain) * (shape.height / shape.grain);
    const { width, height } = sidesOf(shape, asked.size);
    const share = cost.viewShares?.[stage - 1] ?? 1;
    const guess = asked.look === "ahead" ? (cost.ahead?.[stage - 1] ?? 0) : 0;
    return guess + share * (full / cells) * ((width / shape.grain) * (height / shape.grain));
  };
  const refine: CostModel["refine"] = (stage, share) => {
    const full = cost.refine?.[stage];
    if (full !== undefined) return cost.refineWhole ? full : share * full;
    throw new TtsVarError("CONFIG_INVALID", "the strategy refines, which this generator cannot");
  };
  const reward = (name: string): number => {
    const traits = Object.hasOwn(rewards, name) ? rewards[name] : undefined;
    if (traits) return traits.flops;
    const known = Object.keys(rewards);
    throw new TtsVarError(
      "PLUGIN_UNKNOWN",
      `the strategy asks for reward "${name}", which this run does not have (it has: ${known.join(", ")}); add it to the rewards of the configuration`,
      { details: { name, known } },
    );
  };
  const prompt = prompts * cost.prompt;
  const generation = cost.stages.reduce((sum, flops) => sum + flops, 0);
  return {
    stages: cost.stages,
    shared: sharedStages(generator, keep),
    prompt,
    view,
    refine,
    reward,
    features: input.featureFlops ?? 0,
    unit: prompt + generation + view(FULL_VIEW) + reward(primaryReward),
  };
}
