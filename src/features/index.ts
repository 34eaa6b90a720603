import type { FeatureDefinition } from "../core/plugin.ts";
import type { Listing } from "../core/registry.ts";

/** A built-in feature extractor: its listing, and its lazily imported definition. */
export interface FeatureEntry extends Listing {
  load(): Promise<FeatureDefinition>;
}

/** A dual encoder of `models/` by its name. */
const embedded = (name: string, summary: string): FeatureEntry => ({
  name,
  summary,
  async load() {
    const { embeddedModelPath } = await import("../inference/folder/model-folder.ts");
    const { dualEncoderDefinition } = await import("./dual-encoder.ts");
    return dualEncoderDefinition(await embeddedModelPath(name)) as FeatureDefinition;
  },
});

/** All built-in feature extractors. Nothing is imported before one is asked for by name. */
export const features: readonly FeatureEntry[] = [
  embedded("dual-encoder", "patch tokens of the embedded dual encoder's vision tower"),
  embedded("dual-encoder-int8", "the same in int8, faster"),
  {
    name: "thumbnail",
    summary: "mean colours of the cells of an 8 x 8 grid; no network, costs next to nothing",
    load: async () => (await import("./thumbnail.ts")).thumbnailDefinition as FeatureDefinition,
  },
];

/** What can be chosen as `features.reduction`. */
export const reductionListings: readonly Listing[] = [
  { name: "pca", summary: "patches on each image's own first principal axis, signs aligned" },
  {
    name: "pca-reference",
    summary: "the same with arbitrary signs",
    source: "Chen et al. 2025 (TTS-VAR), code",
  },
  { name: "pca-shared", summary: "patches on one principal axis of all images" },
  { name: "pool", summary: "mean of the patch tokens" },
  { name: "cls", summary: "summary token" },
];
