import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RgbImage } from "../core/image.ts";

/** Size that a model wants its images in; `shortest` means that the longer side follows the aspect ratio. */
export type InputSize = { readonly width: number; readonly height: number } | { readonly shortest: number };

/** Reads `preprocessor_config.json`; null if it names no size. */
export async function readInputSize(dir: string): Promise<InputSize | null> {
  const text = await readFile(join(dir, "preprocessor_config.json"), "utf8").catch(() => "{}");
  const { size } = JSON.parse(text) as { size?: number | Record<string, number> };
  if (typeof size === "number") return { shortest: size };
  if (size?.["width"] && size["height"]) return { width: size["width"], height: size["height"] };
  return size?.["shortest_edge"] ? { shortest: size["shortest_edge"] } : null;
}

/**
 * The image at the model's size. transformers.js would resize without antialiasing, so it is done here, with a cubic
 * filter; an image that already has the size is returned as it is, bit for bit.
 */
export async function fitImage(image: RgbImage, size: InputSize | null): Promise<RgbImage> {
  const { width, height } = targetSize(image, size);
  if (width === image.width && height === image.height) return image;
  const { default: sharp } = await import("sharp");
  const { data } = await sharp(image.data, { raw: { width: image.width, height: image.height, channels: 3 } })
    .resize(width, height, { kernel: "cubic", fit: "fill" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width, height, data: new Uint8Array(data) };
}

function targetSize(image: RgbImage, size: InputSize | null): { width: number; height: number } {
  if (!size) return image;
  if (!("shortest" in size)) return size;
  const ratio = size.shortest / Math.min(image.width, image.height);
  return { width: Math.round(image.width * ratio), height: Math.round(image.height * ratio) };
}
