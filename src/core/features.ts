import type { RgbImage } from "./image.ts";
import type { Tensor } from "./tensor.ts";

/** Patch tokens of a vision encoder, and its summary token if it has one. */
export interface ImageFeatures {
  /** [images, patches, channels], patches in row-major order. */
  readonly patches: Tensor;
  /** [images, channels] or null. */
  readonly summary: Tensor | null;
}

/** An image encoder whose tokens serve for clustering and diversity. */
export interface FeatureExtractor extends AsyncDisposable {
  readonly name: string;
  readonly version: string;
  /** FLOPs per image. */
  readonly flops: number;
  extract(images: readonly RgbImage[]): Promise<ImageFeatures>;
}

/** Turns tokens into one vector per image: [images, dim]. Pure. */
export type FeatureReduction = (features: ImageFeatures) => Tensor;
