import { z } from "zod";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";
import { openModelFolder } from "../src/models/model-folder.ts";
import { openDualTower } from "./dual-tower.ts";
import { readImageTransform } from "./image-processor.ts";
import { modelFlops } from "./model-cost.ts";
import { givenFolder } from "./model-source.ts";
import { hpsTransform } from "./preprocess.ts";

const options = z.strictObject({
  model: z
    .string()
    .min(1)
    .optional()
    .describe("folder written by training/export_rewards.py, or a hub id in that layout"),
});

const remedy =
  "python training/export_rewards.py hps-v2 --checkpoint HPS_v2.1_compressed.pt --tokenizer CLIP_FOLDER --out DIR, then model=DIR";

/**
 * HPS v2 and v2.1 (by their weights; their values are not comparable with each other): plain cosine of an OpenCLIP
 * ViT-H/14 fine-tuned on human preferences. Published tables print 100 times this. Ranks images of one prompt only.
 *
 * The image is a tensor before it is resized: longer side to 224, zeros around it, then normalised. Whether torchvision
 * filters there depends on its version; since 0.17 it does, and so does this.
 *
 * Source: Wu et al. 2023 (HPS v2).
 */
export const hpsV2: RewardDefinition<z.output<typeof options>> = {
  name: "hps-v2",
  summary: "HPS v2.1: human preference from a fine-tuned CLIP ViT-H/14",
  license: "Apache-2.0",
  options,
  async traits(settings, host) {
    const dir = await givenFolder("hps-v2", settings.model, remedy, host);
    const folder = await openModelFolder(dir, { verify: false, allowBare: true });
    return traitsOf(folder.modelId, await modelFlops(folder));
  },
  async create(settings, host) {
    const dir = await givenFolder("hps-v2", settings.model, remedy, host);
    const folder = await openModelFolder(dir, { allowBare: true });
    const { size } = await readImageTransform(dir);
    const towers = await openDualTower(dir, { ...hpsTransform, size });
    return {
      ...traitsOf(folder.modelId, await modelFlops(folder)),
      maxBatch: 8,
      score: async (batch) => ({ scores: await towers.cosines(batch) }),
      [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
    };
  },
};

function traitsOf(modelId: string, flops: number): RewardTraits {
  return {
    name: "hps-v2",
    version: `1+${modelId}`,
    direction: "higher",
    range: [-1, 1],
    // Images of one prompt differ by about 0.02.
    suggestedLambda: 100,
    flops,
    license: "Apache-2.0",
    source: "Wu et al. 2023",
    modelId,
  };
}
