import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";
import { openModelFolder } from "../src/models/model-folder.ts";
import { openDualTower } from "./dual-tower.ts";
import { readImageTransform } from "./image-processor.ts";
import { modelFlops } from "./model-cost.ts";
import { givenFolder } from "./model-source.ts";
import { clipTransform } from "./preprocess.ts";

const options = z.strictObject({
  model: z
    .string()
    .min(1)
    .optional()
    .describe("folder written by training/export_rewards.py, or a hub id in that layout"),
  divideBy: z.number().positive().default(1).describe("26 gives Flow-GRPO's scale"),
});
type PickscoreOptions = z.output<typeof options>;

const remedy =
  "python training/export_rewards.py pickscore --checkpoint PickScore_v1 --tokenizer PickScore_v1 --out DIR, then model=DIR";
// exp(logit_scale) of the checkpoint is 100 after clamping; folders state their own.
const configSchema = z.looseObject({ logit_scale: z.number().default(Math.log(100)) });

/**
 * PickScore v1: exp(logit_scale) times the cosine of a CLIP ViT-H/14 fine-tuned on human choices; the softmax over
 * candidates of one prompt is the predicted preference. Prompt as it is; image as CLIP, cropped as transformers does it.
 *
 * Source: Kirstain et al. 2023; divisor after Flow-GRPO.
 */
export const pickscore: RewardDefinition<PickscoreOptions> = {
  name: "pickscore",
  summary: "PickScore v1: human preference from a fine-tuned CLIP ViT-H/14",
  license: "MIT",
  options,
  async traits(settings, host) {
    const folder = await openModelFolder(await givenFolder("pickscore", settings.model, remedy, host), {
      verify: false,
      allowBare: true,
    });
    return traitsOf(settings, folder.modelId, await modelFlops(folder));
  },
  async create(settings, host) {
    const dir = await givenFolder("pickscore", settings.model, remedy, host);
    const folder = await openModelFolder(dir, { allowBare: true });
    const config = configSchema.parse(JSON.parse(await readFile(join(dir, "config.json"), "utf8")));
    const { size } = await readImageTransform(dir);
    const towers = await openDualTower(dir, { ...clipTransform, size, cropRounding: "floor" });
    const scale = Math.exp(config.logit_scale) / settings.divideBy;
    return {
      ...traitsOf(settings, folder.modelId, await modelFlops(folder)),
      maxBatch: 8,
      score: async (batch) => ({ scores: (await towers.cosines(batch)).map((cosine) => scale * cosine) }),
      [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
    };
  },
};

function traitsOf(settings: PickscoreOptions, modelId: string, flops: number): RewardTraits {
  return {
    name: "pickscore",
    version: `1+${settings.divideBy}+${modelId}`,
    direction: "higher",
    range: null,
    // Differences are log-odds of preference, so lambda 1 samples as people would choose.
    suggestedLambda: settings.divideBy,
    flops,
    license: "MIT",
    source: "Kirstain et al. 2023",
    modelId,
  };
}
