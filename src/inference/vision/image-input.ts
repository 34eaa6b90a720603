import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RgbImage } from "../../core/image.ts";

/** Size that a model wants its images in; `shortest` means that the longer side follows, to `longest` at most. */
export type InputSize =
  | { readonly width: number; readonly height: number }
  | { readonly shortest: number; readonly longest?: number };

interface ProcessorConfig {
  readonly do_resize?: boolean;
  /** A number is the shorter side, as old configurations have it. */
  readonly size?: number | Readonly<Record<string, number>>;
  readonly max_size?: number;
}

/** Reads `preprocessor_config.json`; null if images keep their size. */
export async function readInputSize(dir: string): Promise<InputSize | null> {
  const text = await readFile(join(dir, "preprocessor_config.json"), "utf8").catch(() => "{}");
  const { do_resize, size: given, max_size } = JSON.parse(text) as ProcessorConfig;
  if (do_resize === false || given === undefined) return null;
  const size: Readonly<Record<string, number | undefined>> =
    typeof given === "number" ? { shortest_edge: given, longest_edge: max_size } : given;
  if (size["width"] && size["height"]) return { width: size["width"], height: size["height"] };
  const { shortest_edge: shortest, longest_edge: longest } = size;
  return shortest ? { shortest, ...(longest ? { longest } : {}) } : null;
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

/** As Python's processors compute it: the shorter side first, the longer one cut to whole pixels. */
export function targetSize(
  image: { readonly width: number; readonly height: number },
  size: InputSize | null,
): { width: number; height: number } {
  const { width, height } = image;
  if (!size) return { width, height };
  if (!("shortest" in size)) return size;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const { shortest, longest = Number.POSITIVE_INFINITY } = size;
  const exact = (shortest * long) / short > longest ? (longest * short) / long : shortest;
  const [shorter, longer] = [Math.round(exact), Math.floor((exact * long) / short)];
  return width < height ? { width: shorter, height: longer } : { width: longer, height: shorter };
}
