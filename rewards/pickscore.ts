import { join } from "node:path";
import { z } from "zod";
import { readJson } from "../src/inference/folder/read-json.ts";
import { openDualTower } from "../src/inference/vision/dual-tower.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { clipTransform } from "../src/inference/vision/preprocess.ts";
import { folderHelp, folderReward } from "./parts/folder-reward.ts";

// exp(logit_scale) of the checkpoint is 100 after clamping; folders state their own.
const configSchema = z.looseObject({ logit_scale: z.number().default(Math.log(100)) });

/**
 * PickScore v1: exp(logit_scale) times the cosine of a CLIP ViT-H/14 fine-tuned on human choices; the softmax over
 * candidates of one prompt is the predicted preference. Prompt as it is; image as CLIP, cropped as transformers does it.
 *
 * Source: Kirstain et al. 2023; divisor after Flow-GRPO.
 */
export const pickscore = folderReward({
  name: "pickscore",
  summary: "PickScore v1: human preference from a fine-tuned CLIP ViT-H/14",
  options: z.strictObject({
    model: z.string().min(1).optional().describe(folderHelp),
    divideBy: z.number().positive().default(1).describe("26 gives Flow-GRPO's scale"),
  }),
  remedy:
    "training/.venv/bin/python training/export_rewards.py pickscore --checkpoint PickScore_v1 --tokenizer PickScore_v1 --out DIR, then model=DIR",
  traits: ({ divideBy }) => ({ version: `1+${divideBy}`, suggestedLambda: divideBy }),
  async open({ dir }, { divideBy }) {
    const config = configSchema.parse(await readJson(join(dir, "config.json")));
    const { size } = await readImageTransform(dir);
    const towers = await openDualTower(dir, { ...clipTransform, size, cropRounding: "floor" });
    const scale = Math.exp(config.logit_scale) / divideBy;
    return {
      scores: async (batch) => (await towers.cosines(batch)).map((cosine) => scale * cosine),
      [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
    };
  },
});
