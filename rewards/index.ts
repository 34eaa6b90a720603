import type { RewardDefinition } from "../src/core/plugin.ts";
import type { Listing } from "../src/core/registry.ts";

/** A built-in reward: what `tts-var list rewards` shows, and its lazily imported definition. */
export interface RewardEntry extends Listing {
  load(): Promise<RewardDefinition>;
}

/** All built-in rewards. Nothing is imported before one is asked for by name. */
export const rewards: readonly RewardEntry[] = [
  {
    name: "clip",
    summary: "cosine of prompt and image embeddings; embedded dual encoder, or any CLIP or SigLIP",
    source: "Hessel et al. 2021 (CLIPScore); Radford et al. 2021 (CLIP)",
    load: async () => (await import("./clip.ts")).clip,
  },
  {
    name: "geneval",
    summary:
      "dense detector-based score of the prompt's objects, counts, colours and positions; 1 iff GenEval passes",
    source: "Ghosh et al. 2023 (GenEval); dense form after Flow-GRPO, with its quirks removed",
    load: async () => (await import("./geneval.ts")).geneval,
  },
  {
    name: "image-reward",
    summary: "ImageReward v1.0: human preference from BLIP (weights by export or folder)",
    source: "Xu et al. 2023 (ImageReward)",
    load: async () => (await import("./image-reward.ts")).imageReward,
  },
  {
    name: "hps-v2",
    summary: "HPS v2.1: human preference from a fine-tuned CLIP ViT-H/14 (weights by export or folder)",
    source: "Wu et al. 2023 (HPS v2)",
    load: async () => (await import("./hps-v2.ts")).hpsV2,
  },
  {
    name: "pickscore",
    summary: "PickScore v1: human preference from a fine-tuned CLIP ViT-H/14 (weights by export or folder)",
    source: "Kirstain et al. 2023 (Pick-a-Pic)",
    load: async () => (await import("./pickscore.ts")).pickscore,
  },
  {
    name: "aesthetic",
    summary: "LAION v2 or V2.5 aesthetic predictor: an affine head on CLIP or SigLIP (weights by folder)",
    source: "Schuhmann 2022 (improved aesthetic predictor); discus0434 2024 (V2.5)",
    load: async () => (await import("./aesthetic.ts")).aesthetic,
  },
  {
    name: "vlm",
    summary: "probability of yes from an OpenAI-compatible vision endpoint",
    source: "Lin et al. 2024 (VQAScore)",
    load: async () => (await import("./vlm.ts")).vlm,
  },
  {
    name: "http",
    summary: "scores from a server that speaks the POST /score contract (see docs/add-a-reward.md)",
    source: "examples/reward-server.py",
    load: async () => (await import("./http.ts")).http,
  },
  {
    name: "weighted",
    summary: "weighted mixture of rewards, standardised; a null score drops its term",
    source: "Liu et al. 2025 (Flow-GRPO); von Werra et al. (TRL)",
    load: async () => (await import("./weighted.ts")).weighted,
  },
  {
    name: "cascade",
    summary: "scores all with a cheap reward, and only its best with an expensive one",
    source: "Viola and Jones 2001",
    load: async () => (await import("./cascade.ts")).cascade,
  },
];
