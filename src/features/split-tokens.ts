import type { ImageFeatures } from "../core/features.ts";
import type { Tensor } from "../core/tensor.ts";

/**
 * Tokens of a vision transformer as patches and summary.
 *
 * @param tokens  [images, leading + patches, channels], summary first
 * @param leading tokens before the patches: the summary, and registers if there are any
 */
export function splitTokens({ dims, data }: Tensor, leading = 1): ImageFeatures {
  const [images, tokens, channels] = dims as [number, number, number];
  const count = tokens - leading;
  const patches = new Float32Array(images * count * channels);
  const summary = new Float32Array(images * channels);
  for (let image = 0; image < images; image++) {
    const start = image * tokens * channels;
    summary.set(data.subarray(start, start + channels), image * channels);
    const own = data.subarray(start + leading * channels, start + tokens * channels);
    patches.set(own, image * count * channels);
  }
  return {
    patches: { dims: [images, count, channels], data: patches },
    summary: { dims: [images, channels], data: summary },
  };
}
