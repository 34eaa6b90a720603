import type { RgbImage } from "../../core/image.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";

/** Image `index` of [n, 3, height, width] in [-1, 1]; truncates like Infinity's generator. */
export function toImage(decoded: Tensor, index: number): RgbImage {
  const [, , height, width] = decoded.dims as [number, number, number, number];
  const planes = rowOf(decoded, index);
  const pixels = width * height;
  const data = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = Math.min(1, Math.max(-1, planes[channel * pixels + pixel]!));
      data[pixel * 3 + channel] = Math.fround(Math.fround(Math.fround(value + 1) / 2) * 255);
    }
  }
  return { width, height, data };
}
