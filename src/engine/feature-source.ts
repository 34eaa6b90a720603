import type { FeatureExtractor, FeatureReduction } from "../core/features.ts";
import type { RgbImage } from "../core/image.ts";
import type { Tensor } from "../core/tensor.ts";

/** What the engine needs to answer `features`: images in, one vector per image out. */
export interface FeatureSource {
  readonly name: string;
  /** Null: priced for a search that will not ask for features, its model was not opened. */
  readonly version: string | null;
  /** FLOPs per image. */
  readonly flops: number;
  /** [images, dim]. May depend on the whole batch (a shared basis), so results are never kept by candidate. */
  vectors(images: readonly RgbImage[]): Promise<Tensor>;
}

/** An image encoder and the reduction of its tokens, as one source. The encoder stays the caller's to dispose. */
export function createFeatureSource(
  extractor: FeatureExtractor,
  reductionName: string,
  reduce: FeatureReduction,
): FeatureSource {
  return {
    name: `${extractor.name}/${reductionName}`,
    version: extractor.version,
    flops: extractor.flops,
    vectors: async (images) => reduce(await extractor.extract(images)),
  };
}
