import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";

/** What a vision tower says of images. */
export interface ClipImages {
  /** [images, channels], not normalised. */
  readonly embeds: Tensor;
  /** [images, 1 + patches, hidden], summary token first; null if the graph has no `last_hidden_state`. */
  readonly tokens: Tensor | null;
}

/** A text and an image tower with a common embedding space. */
export interface Clip {
  /** Identity of the weights. */
  readonly modelId: string;
  /** [prompts, channels], not normalised. */
  encodeText(prompts: readonly string[]): Promise<Tensor>;
  encodeImages(images: readonly RgbImage[]): Promise<ClipImages>;
  dispose(): Promise<void>;
}

export interface LoadOptions {
  /** Threads of one operator; results do not depend on it. */
  readonly threads?: number;
}
