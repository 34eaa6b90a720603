import { TtsVarError } from "../core/errors.ts";
import type { Generator, GeneratorCost, LatentSize, SamplingSettings } from "../core/generator.ts";
import type { RewardTraits } from "../core/reward.ts";
import type { CostModel } from "../core/strategy.ts";

/** What prices and plans need of a generator; a manifest is enough, no weights. */
export type GeneratorShape = Pick<Generator, "scales" | "latent" | "cost">;

export interface CostInput {
  readonly generator: GeneratorShape;
  readonly settings: Pick<SamplingSettings, "guidanceUntil">;
  readonly rewards: Readonly<Record<string, Pick<RewardTraits, "flops">>>;
  readonly primaryReward: string;
  /** FLOPs per image of the feature source; null when there is none. */
  readonly featureFlops: number | null;
}

/** One model per (generator, prices), so that strategies can remember what they fitted to it. */
const models = new WeakMap<GeneratorCost, Map<string, CostModel>>();

/**
 * FLOPs of everything a search can ask for. The unit of `--budget` is one full generation on its own: text, every
 * stage, the final decode and the final score.
 *
 * @throws PLUGIN_UNKNOWN (from `reward`) for a reward that the run does not have
 */
export function createCostModel(input: CostInput): CostModel {
  const { generator, settings, rewards, primaryReward, featureFlops } = input;
  const known = models.get(generator.cost) ?? new Map<string, CostModel>();
  models.set(generator.cost, known);
  const prices = Object.entries(rewards).map(([name, { flops }]) => [name, flops]);
  const key = JSON.stringify([settings.guidanceUntil, primaryReward, featureFlops, prices]);
  const model = known.get(key) ?? build(input);
  known.set(key, model);
  return model;
}

function build(input: CostInput): CostModel {
  const { generator, settings, rewards, primaryReward } = input;
  const stages = generator.scales.map(({ index }) =>
    generator.cost.stage(index, index < settings.guidanceUntil),
  );
  const decode = (latent: LatentSize | null): number => generator.cost.decode(latent ?? generator.latent);
  const reward = (name: string): number => {
    const traits = rewards[name];
    if (traits) return traits.flops;
    const known = Object.keys(rewards);
    throw new TtsVarError(
      "PLUGIN_UNKNOWN",
      `the strategy asks for reward "${name}", which this run does not have (it has: ${known.join(", ")}); add it to the rewards of the configuration`,
      { details: { name, known } },
    );
  };
  const generation = stages.reduce((sum, flops) => sum + flops, 0);
  return {
    stages,
    sharedStages: generator.cost.sharedStages,
    text: generator.cost.text,
    decode,
    reward,
    features: input.featureFlops ?? 0,
    unit: generator.cost.text + generation + decode(null) + reward(primaryReward),
  };
}
