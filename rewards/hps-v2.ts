import { z } from "zod";
import { openDualTower } from "../src/inference/vision/dual-tower.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { hpsTransform } from "../src/inference/vision/preprocess.ts";
import { folderHelp, folderReward } from "./parts/folder-reward.ts";

/**
 * HPS v2 and v2.1 (by their weights; their values are not comparable with each other): plain cosine of an OpenCLIP
 * ViT-H/14 fine-tuned on human preferences. Published tables print 100 times this. Ranks images of one prompt only.
 *
 * The image is a tensor before it is resized: longer side to 224, zeros around it, then normalised. Whether torchvision
 * filters there depends on its version; since 0.17 it does, and so does this.
 *
 * Source: Wu et al. 2023 (HPS v2).
 */
export const hpsV2 = folderReward({
  name: "hps-v2",
  summary: "HPS v2.1: human preference from a fine-tuned CLIP ViT-H/14",
  options: z.strictObject({ model: z.string().min(1).optional().describe(folderHelp) }),
  remedy:
    "training/.venv/bin/python training/export_rewards.py hps-v2 --checkpoint HPS_v2.1_compressed.pt --tokenizer CLIP_FOLDER --out DIR, then model=DIR",
  async open({ dir }) {
    const { size } = await readImageTransform(dir);
    const towers = await openDualTower(dir, { ...hpsTransform, size });
    return {
      scores: (batch) => towers.cosines(batch),
      [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
    };
  },
});
