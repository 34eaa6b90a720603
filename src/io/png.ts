import { TtsVarError } from "../core/errors.ts";
import type { RgbImage } from "../core/image.ts";

/** sharp's binary takes a while to load and most commands never touch a picture, so it is imported when first used. */
export async function loadSharp(): Promise<typeof import("sharp").default> {
  return (await import("sharp")).default;
}

/** Encodes 8-bit RGB pixels as PNG. Lossless; equal pixels are compared by `pixelHash`, never by these bytes. */
export async function encodePng(image: RgbImage): Promise<Buffer> {
  const sharp = await loadSharp();
  const { width, height, data } = image;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/**
 * Decodes an image file (PNG, JPEG, WebP, ...) to 8-bit sRGB, turned as its EXIF data says; transparency is put on white.
 *
 * @param source bytes or a path
 * @throws TtsVarError EVAL_DATA if it is missing or no image
 */
export async function decodePng(source: Uint8Array | string): Promise<RgbImage> {
  const sharp = await loadSharp();
  try {
    const { data, info } = await sharp(source)
      .autoOrient()
      .toColourspace("srgb")
      .flatten({ background: "#ffffff" })
      .removeAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: new Uint8Array(data) };
  } catch (error) {
    const name = typeof source === "string" ? source : "the given bytes";
    const reason = error instanceof Error ? error.message : String(error);
    throw new TtsVarError("EVAL_DATA", `${name}: not a readable image (${reason})`, { cause: error });
  }
}

/** The image scaled (Lanczos) to cover a size, and cropped around its centre; returned as it is if it has the size. */
export async function cropToSize(image: RgbImage, width: number, height: number): Promise<RgbImage> {
  if (image.width === width && image.height === height) return image;
  const sharp = await loadSharp();
  const data = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .resize(width, height, { fit: "cover", position: "centre", kernel: "lanczos3" })
    .raw()
    .toBuffer();
  return { width, height, data: new Uint8Array(data) };
}
