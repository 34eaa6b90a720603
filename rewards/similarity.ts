import { resolve } from "node:path";
import { z } from "zod";
import { pixelHash } from "../src/core/image.ts";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { modelFlops } from "../src/inference/folder/model-cost.ts";
import { openModelFolder } from "../src/inference/folder/model-folder.ts";
import { dot } from "../src/inference/vision/cosine.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { openVisionTower } from "../src/inference/vision/vision-tower.ts";
import { decodePng } from "../src/io/png.ts";
import { facts, isEmbedded } from "./parts/facts.ts";

const options = z.strictObject({
  reference: z.string().min(1).describe("image that candidates should resemble"),
  model: z
    .string()
    .min(1)
    .default("dual-encoder")
    .describe(
      "embedded dual encoder, a folder with onnx/vision_model.onnx (CLIP, SigLIP, DINOv2), or a hub id",
    ),
});
type SimilarityOptions = z.output<typeof options>;

/**
 * Cosine of an image's embedding with that of a reference image. The prompt is not read, so it is at its best as a term of
 * `weighted` or `rank`. What "similar" means is the tower's: subjects for CLIP, layout and texture for DINOv2.
 *
 * Source: Ruiz et al. 2023 (DreamBooth: CLIP-I and DINO); DreamBench++ searches of SoTo.
 */
export const similarity: RewardDefinition<SimilarityOptions> = {
  name: "similarity",
  summary: "cosine with a reference image in any vision tower's embedding",
  license: facts.similarity.license,
  options,
  async traits(settings, host) {
    return (await prepare(settings, host, false)).traits;
  },
  async create(settings, host) {
    const { traits, dir, reference } = await prepare(settings, host, true);
    const tower = await openVisionTower(dir, await readImageTransform(dir));
    try {
      const [wanted] = await tower.embed([reference]);
      return {
        ...traits,
        maxBatch: 32,
        async score(batch) {
          const embeds = await tower.embed(batch.map(({ image }) => image));
          return { scores: embeds.map((embed) => dot(wanted!, embed)) };
        },
        [Symbol.asyncDispose]: () => tower[Symbol.asyncDispose](),
      };
    } catch (error) {
      await tower[Symbol.asyncDispose]();
      throw error;
    }
  },
};

async function prepare({ reference: path, model }: SimilarityOptions, host: RewardHost, verify: boolean) {
  const reference = await decodePng(resolve(host.baseDir, path));
  const folder = await openModelFolder(await modelFolder(model, host), { verify, allowBare: true });
  const embedded = isEmbedded(model);
  const traits: RewardTraits = {
    name: "similarity",
    version: `1+${pixelHash(reference).slice(0, 16)}+${folder.modelId}`,
    ...facts.similarity,
    flops: await modelFlops(folder),
    license: embedded ? facts.similarity.license : "see the model's card",
    modelId: folder.modelId,
  };
  return { traits, dir: folder.dir, reference };
}
