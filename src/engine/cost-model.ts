import { TtsVarError } from "../core/errors.ts";
import type { LatentSize, Sampler, SamplerCost, SamplingSettings } from "../core/generator.ts";
import type { RewardTraits } from "../core/reward.ts";
import type { CostModel } from "../core/strategy.ts";

/** What prices and plans need of a sampler; a manifest is enough, no weights. */
export type SamplerShape = Pick<Sampler, "scales" | "latent" | "cost">;

export interface CostInput {
  readonly sampler: SamplerShape;
  readonly settings: Pick<SamplingSettings, "guidanceUntil">;
  readonly rewards: Readonly<Record<string, Pick<RewardTraits, "flops">>>;
  readonly primaryReward: string;
  /** FLOPs per image of the feature source; null when there is none. */
  readonly featureFlops: number | null;
}

/** One model per (sampler, prices), so that strategies can remember what they fitted to it. */
const models = new WeakMap<SamplerCost, Map<string, CostModel>>();

/**
 * FLOPs of everything a search can ask for. The unit of `--budget` is one full generation on its own: text, every
 * stage, the final decode and the final score.
 *
 * @throws PLUGIN_UNKNOWN (from `reward`) for a reward that the run does not have
 */
export function createCostModel(input: CostInput): CostModel {
  const { sampler, settings, rewards, primaryReward, featureFlops } = input;
  const known = models.get(sampler.cost) ?? new Map<string, CostModel>();
  models.set(sampler.cost, known);
  const prices = Object.entries(rewards).map(([name, { flops }]) => [name, flops]);
  const key = JSON.stringify([settings.guidanceUntil, primaryReward, featureFlops, prices]);
  const model = known.get(key) ?? build(input);
  known.set(key, model);
  return model;
}

function build(input: CostInput): CostModel {
  const { sampler, settings, rewards, primaryReward } = input;
  const stages = sampler.scales.map(({ index }) => sampler.cost.stage(index, index < settings.guidanceUntil));
  const decode = (latent: LatentSize | null): number => sampler.cost.decode(latent ?? sampler.latent);
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
    sharedStages: sampler.cost.sharedStages,
    text: sampler.cost.text,
    decode,
    reward,
    features: input.featureFlops ?? 0,
    unit: sampler.cost.text + generation + decode(null) + reward(primaryReward),
  };
}
