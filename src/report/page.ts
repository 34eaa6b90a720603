import type { RgbImage } from "../core/image.ts";

/** A white page that pictures are put on. */
export function whitePage(width: number, height: number): RgbImage {
  return { width, height, data: new Uint8Array(3 * width * height).fill(255) };
}

/**
 * Puts a picture into the middle of a square of a page. A small one is enlarged without smoothing, so that a preview looks like
 * what the reward saw; a large one is reduced with Lanczos.
 */
export async function putOn(
  page: RgbImage,
  picture: RgbImage,
  { x, y, side }: { readonly x: number; readonly y: number; readonly side: number },
): Promise<void> {
  const factor = side / Math.max(picture.width, picture.height);
  const { width, height, data } = factor < 1 ? await reduced(picture, side) : picture;
  const enlarged = Math.max(1, factor);
  const [columns, rows] = [Math.round(width * enlarged), Math.round(height * enlarged)];
  const left = x + Math.floor((side - columns) / 2);
  const top = y + Math.floor((side - rows) / 2);
  for (let row = 0; row < rows; row++) {
    const from = 3 * width * Math.min(height - 1, Math.floor(row / enlarged));
    const to = 3 * (page.width * (top + row) + left);
    for (let column = 0; column < columns; column++) {
      const source = from + 3 * Math.min(width - 1, Math.floor(column / enlarged));
      for (let channel = 0; channel < 3; channel++) {
        page.data[to + 3 * column + channel] = data[source + channel]!;
      }
    }
  }
}

async function reduced({ width, height, data }: RgbImage, side: number): Promise<RgbImage> {
  const { default: sharp } = await import("sharp");
  const made = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize(side, side, { kernel: "lanczos3", fit: "inside" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: made.info.width, height: made.info.height, data: made.data };
}
