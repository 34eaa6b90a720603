import { z } from "zod";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import type { Reward, RewardTraits } from "../src/core/reward.ts";
import { openModelFolder } from "../src/models/model-folder.ts";
import { openDualTower } from "./dual-tower.ts";
import { facts } from "./facts.ts";
import { readImageTransform } from "./image-processor.ts";
import { modelFlops } from "./model-cost.ts";
import { modelFolder } from "./model-source.ts";

const options = z.strictObject({
  model: z
    .string()
    .min(1)
    .default("dual-encoder")
    .describe("embedded dual encoder, a CLIP or SigLIP folder, or a hub id"),
  mode: z
    .enum(["cosine", "clipscore"])
    .default("cosine")
    .describe('cosine; clipscore: 2.5 max(cosine, 0) with the prefix "A photo depicts "'),
});
type ClipOptions = z.output<typeof options>;

/**
 * Cosine of prompt and image embeddings.
 *
 * Source: Radford et al. 2021 (CLIP); Hessel et al. 2021 (CLIPScore: weight 2.5, prefix, clamp at 0, chosen for
 * ViT-B/32); ImageReward and Infinity report the plain cosine under the name "CLIP score".
 */
export const clip: RewardDefinition<ClipOptions> = {
  name: "clip",
  summary: "cosine of prompt and image embeddings",
  license: facts.clip.license,
  options,
  async traits(settings, host) {
    const folder = await openModelFolder(await modelFolder(settings.model, host), {
      verify: false,
      allowBare: true,
    });
    return traitsOf(settings, folder.modelId, await modelFlops(folder));
  },
  create: createClip,
};

async function createClip(settings: ClipOptions, host: RewardHost): Promise<Reward> {
  const folder = await openModelFolder(await modelFolder(settings.model, host), { allowBare: true });
  const towers = await openDualTower(folder.dir, await readImageTransform(folder.dir));
  const clipscore = settings.mode === "clipscore";
  return {
    ...traitsOf(settings, folder.modelId, await modelFlops(folder)),
    async score(batch) {
      if (!clipscore) return { scores: await towers.cosines(batch) };
      const cosines = await towers.cosines(batch, (prompt) => `A photo depicts ${prompt}`);
      return { scores: cosines.map((cosine) => 2.5 * Math.max(cosine, 0)) };
    },
    [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
  };
}

function traitsOf(settings: ClipOptions, modelId: string, flops: number): RewardTraits {
  const clipscore = settings.mode === "clipscore";
  const embedded = settings.model === "dual-encoder";
  return {
    name: "clip",
    version: `1+${settings.mode}+${modelId}`,
    ...facts.clip,
    range: clipscore ? [0, 2.5] : facts.clip.range,
    // Cosines of CLIP ViT spread by about 0.02 within a prompt.
    suggestedLambda: (embedded ? facts.clip.suggestedLambda : 50) / (clipscore ? 2.5 : 1),
    flops,
    license: embedded ? facts.clip.license : "see the model's card",
    modelId,
  };
}
