import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition, RewardHost } from "../src/core/plugin.ts";
import type { Reward, RewardTraits } from "../src/core/reward.ts";
import { modelFolder } from "../src/inference/folder/find-folder.ts";
import { modelFlops } from "../src/inference/folder/model-cost.ts";
import { openModelFolder } from "../src/inference/folder/model-folder.ts";
import { readJson } from "../src/inference/folder/read-json.ts";
import { openDualTower } from "../src/inference/vision/dual-tower.ts";
import { readImageTransform } from "../src/inference/vision/image-processor.ts";
import { facts, isEmbedded } from "./parts/facts.ts";

const options = z.strictObject({
  model: z
    .string()
    .min(1)
    .default("dual-encoder")
    .describe("dual-encoder, dual-encoder-int8 (faster), a CLIP or SigLIP folder, or a hub id"),
  mode: z
    .enum(["cosine", "clipscore", "sigmoid"])
    .default("cosine")
    .describe(
      'cosine; clipscore: 2.5 max(cosine, 0) with the prefix "A photo depicts "; sigmoid: SigLIP\'s probability, from the scale and bias in config.json',
    ),
});
type ClipOptions = z.output<typeof options>;

/**
 * Cosine of prompt and image embeddings.
 *
 * SigLIP's probability of a match rises with the cosine, so within a prompt it ranks images as the cosine does.
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
  const logit = settings.mode === "sigmoid" ? await readLogit(folder.dir) : noLogit;
  const towers = await openDualTower(folder.dir, await readImageTransform(folder.dir));
  const { template, scoreOf } = modes[settings.mode];
  return {
    ...traitsOf(settings, folder.modelId, await modelFlops(folder)),
    async score(batch) {
      const cosines = await towers.cosines(batch, template);
      return { scores: cosines.map((cosine) => scoreOf(cosine, logit)) };
    },
    [Symbol.asyncDispose]: () => towers[Symbol.asyncDispose](),
  };
}

/** Scale (as its logarithm) and bias of SigLIP; weights of the whole model, which its two towers do not carry. */
interface Logit {
  readonly logit_scale: number;
  readonly logit_bias: number;
}

const noLogit: Logit = { logit_scale: 0, logit_bias: 0 };

interface Mode {
  readonly template?: (prompt: string) => string;
  readonly scoreOf: (cosine: number, logit: Logit) => number;
  readonly range: readonly [number, number];
  /** Spread of the scores over that of the cosines, roughly; lambda is smaller by it. */
  readonly gain: number;
}

const modes: Readonly<Record<ClipOptions["mode"], Mode>> = {
  cosine: { scoreOf: (cosine) => cosine, range: facts.clip.range, gain: 1 },
  clipscore: {
    template: (prompt) => `A photo depicts ${prompt}`,
    scoreOf: (cosine) => 2.5 * Math.max(cosine, 0),
    range: [0, 2.5],
    gain: 2.5,
  },
  sigmoid: {
    scoreOf: (cosine, logit) =>
      1 / (1 + Math.exp(-(Math.exp(logit.logit_scale) * cosine + logit.logit_bias))),
    range: [0, 1],
    gain: 5,
  },
};

async function readLogit(dir: string): Promise<Logit> {
  const path = join(dir, "config.json");
  const { logit_scale, logit_bias } = await readJson(path);
  if (typeof logit_scale === "number" && typeof logit_bias === "number") return { logit_scale, logit_bias };
  throw new TtsVarError(
    "MODEL_INVALID",
    `${path} has no logit_scale and logit_bias; copy them there from the checkpoint, or use mode=cosine, which ranks images alike`,
  );
}

function traitsOf(settings: ClipOptions, modelId: string, flops: number): RewardTraits {
  const { range, gain } = modes[settings.mode];
  const embedded = isEmbedded(settings.model);
  return {
    name: "clip",
    version: `1+${settings.mode}+${modelId}`,
    ...facts.clip,
    range,
    // Cosines of CLIP ViT spread by about 0.02 within a prompt.
    suggestedLambda: (embedded ? facts.clip.suggestedLambda : 50) / gain,
    flops,
    license: embedded ? facts.clip.license : "see the model's card",
    modelId,
  };
}
