import type { RgbImage } from "../../src/core/image.ts";
import { encodePng } from "../../src/io/png.ts";

/** An image as a base64 PNG, lossless, for rewards behind HTTP. */
export async function pngBase64(image: RgbImage): Promise<string> {
  return (await encodePng(image)).toString("base64");
}
