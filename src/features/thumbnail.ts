import { z } from "zod";
import type { FeatureExtractor } from "../core/features.ts";
import type { RgbImage } from "../core/image.ts";
import type { FeatureDefinition } from "../core/plugin.ts";

const options = z.strictObject({
  side: z.int().min(2).max(64).default(8).describe("cells of the thumbnail, along each side"),
});
type ThumbnailOptions = z.output<typeof options>;

const CHANNELS = 3;
/** What a price is stated for: pictures of any size are averaged, at two operations a value. */
const NOMINAL_SIDE = 128;

/**
 * Mean colours of the cells of a coarse grid: where things are and of which colour, without a network. Patches are the
 * cells [side * side, 3] in [-1, 1]; the summary token is the whole thumbnail.
 */
export const thumbnailDefinition: FeatureDefinition<ThumbnailOptions> = {
  name: "thumbnail",
  summary: "mean colours of the cells of an 8 x 8 grid; no network, costs next to nothing",
  options,
  create: ({ side }): FeatureExtractor => ({
    name: `thumbnail-${side}`,
    version: "1",
    flops: 2 * CHANNELS * NOMINAL_SIDE ** 2,
    async extract(images) {
      const size = side * side * CHANNELS;
      const data = new Float32Array(images.length * size);
      images.forEach((image, at) => {
        shrink(image, side, data.subarray(at * size, (at + 1) * size));
      });
      return {
        patches: { dims: [images.length, side * side, CHANNELS], data },
        summary: { dims: [images.length, size], data },
      };
    },
    async [Symbol.asyncDispose]() {},
  }),
};

/** Means by cell, row-major, in [-1, 1]; a cell has at least one pixel. */
function shrink({ width, height, data }: RgbImage, side: number, means: Float32Array): void {
  const edge = (at: number, length: number): number => Math.floor((at * length) / side);
  for (let row = 0; row < side; row++) {
    const [top, bottom] = [edge(row, height), Math.max(edge(row + 1, height), edge(row, height) + 1)];
    for (let column = 0; column < side; column++) {
      const [left, right] = [edge(column, width), Math.max(edge(column + 1, width), edge(column, width) + 1)];
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) sum += data[(y * width + x) * CHANNELS + channel]!;
        }
        const mean = sum / ((bottom - top) * (right - left));
        means[(row * side + column) * CHANNELS + channel] = mean / 127.5 - 1;
      }
    }
  }
}
