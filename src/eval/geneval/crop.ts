import type { RgbImage } from "../../core/image.ts";
import type { DetectedObject } from "./judge-ports.ts";

/** What the colour classifier sees: GenEval's options `bgcolor` and `crop`. */
export interface CropOptions {
  /** Replaces the pixels outside the mask; null keeps them ("original"). */
  readonly background: readonly [red: number, green: number, blue: number] | null;
  /** Whether the image is cut to the object's box. */
  readonly cut: boolean;
}

/** On #999, cut to the box. */
export const officialCrop: CropOptions = { background: [153, 153, 153], cut: true };

/**
 * What GenEval's colour classifier sees of an object: pixels outside the mask are replaced by the background, then the
 * image is cut to the box. Edges are rounded half to even and exclude the last pixel, as Pillow does; what lies outside
 * the image is black.
 */
export function cropObject(
  image: RgbImage,
  { box, mask }: Pick<DetectedObject, "box" | "mask">,
  { background, cut }: CropOptions = officialCrop,
): RgbImage {
  const region = cut ? box : ([0, 0, image.width, image.height] as const);
  const [x0, y0, x1, y1] = region.map(roundHalfEven) as [number, number, number, number];
  const width = Math.max(x1 - x0, 1);
  const height = Math.max(y1 - y0, 1);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = [x0 + x, y0 + y];
      if (fromX < 0 || fromY < 0 || fromX >= image.width || fromY >= image.height) continue;
      const pixel = fromY * image.width + fromX;
      const hidden = background !== null && mask !== undefined && mask.data[pixel] === 0;
      const at = (y * width + x) * 3;
      if (hidden) data.set(background, at);
      else data.set(image.data.subarray(pixel * 3, pixel * 3 + 3), at);
    }
  }
  return { width, height, data };
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
