import type { RewardTraits } from "../../src/core/reward.ts";

/** What `tts-var list rewards` tells of a built-in reward, under its default options. */
export interface RewardFacts extends Pick<RewardTraits, "direction" | "range" | "license" | "source"> {
  /** Null: that of its parts. */
  readonly suggestedLambda: number | null;
  /** FLOPs per image of the embedded model or the published weights; null: those of its parts, or of a server. */
  readonly flops: number | null;
}

/** Twice the multiply-adds of ViT-H/14 on 224 x 224 pixels: 257 tokens, width 1280, 32 layers. */
const vitH14 = 334_202_306_560;

/** The figures of every reward, in one place: rewards take theirs from here too. */
export const facts = {
  clip: {
    direction: "higher",
    range: [-1, 1],
    // Within a prompt, cosines of the embedded encoder spread by about 0.05.
    suggestedLambda: 20,
    flops: 369_725_440,
    license: "MIT",
    source: "Hessel et al. 2021 (CLIPScore); Radford et al. 2021 (CLIP)",
  },
  geneval: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: 401_473_536,
    license: "MIT",
    source: "Ghosh et al. 2023 (GenEval); dense form after Flow-GRPO, with its quirks removed",
  },
  "image-reward": {
    direction: "higher",
    range: null,
    // TTS-VAR's own value, with this reward.
    suggestedLambda: 10,
    flops: 136_226_181_120,
    license: "Apache-2.0",
    source: "Xu et al. 2023 (ImageReward)",
  },
  "hps-v2": {
    direction: "higher",
    range: [-1, 1],
    // Images of one prompt differ by about 0.02.
    suggestedLambda: 100,
    flops: vitH14,
    license: "Apache-2.0",
    source: "Wu et al. 2023 (HPS v2)",
  },
  pickscore: {
    direction: "higher",
    range: null,
    // Differences are log-odds of preference, so lambda 1 samples as people would choose.
    suggestedLambda: 1,
    flops: vitH14,
    license: "MIT",
    source: "Kirstain et al. 2023 (Pick-a-Pic)",
  },
  aesthetic: {
    direction: "higher",
    range: null,
    suggestedLambda: 2,
    // CLIP ViT-L/14; V2.5's SigLIP so400m-384 takes 665 GFLOPs.
    flops: 161_715_683_328,
    license: "Apache-2.0 (laion), AGPL-3.0 (v2.5)",
    source: "Schuhmann 2022 (improved aesthetic predictor); discus0434 2024 (V2.5)",
  },
  vlm: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: null,
    license: "the model's",
    source: "Lin et al. 2024 (VQAScore)",
  },
  http: {
    direction: "higher",
    range: null,
    suggestedLambda: 10,
    flops: null,
    license: "the server's",
    source: "examples/reward-server.py",
  },
  weighted: {
    direction: "higher",
    range: null,
    suggestedLambda: 1,
    flops: null,
    license: "those of its terms",
    source: "Liu et al. 2025 (Flow-GRPO); von Werra et al. (TRL)",
  },
  cascade: {
    direction: "higher",
    range: null,
    suggestedLambda: null,
    flops: null,
    license: "those of its parts",
    source: "Viola and Jones 2001",
  },
} as const satisfies Readonly<Record<string, RewardFacts>>;
