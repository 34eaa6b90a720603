import type { RgbImage } from "../core/image.ts";
import { gridOf } from "../eval/grid.ts";
import { encodePng } from "../io/png.ts";

/** Images side by side on white, in a square if there are enough. */
export function renderGrid(images: readonly RgbImage[]): Promise<Buffer> {
  return encodePng(gridOf(images, { columns: Math.ceil(Math.sqrt(images.length)), gap: 8 }));
}
