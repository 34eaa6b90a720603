import sharp from "sharp";
import type { RgbImage } from "../../src/core/image.ts";

/** An image as a base64 PNG, lossless, for rewards behind HTTP. */
export async function pngBase64({ data, width, height }: RgbImage): Promise<string> {
  const png = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return png.toString("base64");
}
