import type { SearchRecipe } from "../config/schema.ts";
import type { Disposal } from "../core/disposal.ts";
import { TtsVarError } from "../core/errors.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { CostModel } from "../core/strategy.ts";
import { createCostModel } from "../engine/cost-model.ts";
import { loadReward } from "../plugins/load-reward.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import type { CalibrationRun } from "../study/run-calibration.ts";
import { rewardRegistry } from "./builtins.ts";
import { openSearch, planConfig } from "./open-search.ts";
import { expectNoRewriting } from "./rewriting.ts";

export interface OpenCalibration
  extends Pick<CalibrationRun, "generator" | "reward" | "primaryReward" | "verifier"> {
  readonly cost: CostModel;
}

/**
 * Opens the models of a calibration.
 *
 * @param verifier spec of the reward whose full marks count as right
 * @param owned    disposes of everything
 * @throws TtsVarError as planning and opening a search, CONFIG_INVALID for a verifier that has no full marks
 */
export async function openCalibration(
  config: SearchRecipe,
  verifier: string | undefined,
  host: PluginHost,
  owned: Disposal,
): Promise<OpenCalibration> {
  expectNoRewriting(config);
  const planned = await planConfig(config, host);
  const { generator, reward } = owned.use(await openSearch(planned));
  const primaryReward = config.reward.name;
  return {
    generator,
    reward,
    primaryReward,
    verifier: verifier === undefined ? null : await openVerifier(verifier, host, owned),
    cost: createCostModel({
      generator: generator.traits,
      keep: 0,
      prompts: 1,
      rewards: { [primaryReward]: reward },
      primaryReward,
      featureFlops: null,
    }),
  };
}

async function openVerifier(spec: string, host: PluginHost, owned: Disposal) {
  const { value } = await loadReward(spec, {}, { ...host, registry: rewardRegistry });
  if (!value.range || value.direction !== "higher") {
    await value[Symbol.asyncDispose]();
    throw new TtsVarError(
      "CONFIG_INVALID",
      `--verifier ${spec}: must be a reward with a highest score, which then counts as right; geneval is one`,
    );
  }
  return { name: value.name, reward: owned.use(createScoring(value)), fullMarks: value.range[1] };
}
