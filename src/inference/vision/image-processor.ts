import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import { parseWith } from "../folder/model-folder.ts";
import { readJson } from "../folder/read-json.ts";
import type { ImageTransform } from "./preprocess.ts";
import type { Kernel } from "./resize-pillow.ts";

const side = z.int().positive();

/** Size that a model wants its images in; `shortest` means that the longer side follows, to `longest` at most. */
export type InputSize =
  | { readonly width: number; readonly height: number }
  | { readonly shortest: number; readonly longest?: number };

/** A size as `preprocessor_config.json` writes it; a number is the shorter side, as old configurations have it. */
export const inputSizeSchema = z.union([
  side.transform((shortest): InputSize => ({ shortest })),
  z
    .looseObject({ height: side, width: side })
    .transform(({ height, width }): InputSize => ({ height, width })),
  z.looseObject({ shortest_edge: side, longest_edge: side.optional() }).transform(
    ({ shortest_edge: shortest, longest_edge: longest }): InputSize => ({
      shortest,
      ...(longest === undefined ? {} : { longest }),
    }),
  ),
]);

const channels = z.tuple([z.number(), z.number(), z.number()]);
const schema = z.object({
  size: inputSizeSchema.optional(),
  crop_size: inputSizeSchema.optional(),
  do_resize: z.boolean().default(true),
  do_center_crop: z.boolean().default(false),
  do_normalize: z.boolean().default(true),
  resample: z.int().default(3),
  image_mean: channels.default([0, 0, 0]),
  image_std: channels.default([1, 1, 1]),
});

/** Pillow's numbers of kernels. */
const kernels: Readonly<Record<number, Kernel>> = { 1: "lanczos", 2: "bilinear", 3: "bicubic" };

/**
 * The transform that a folder's `preprocessor_config.json` describes, for CLIP- and SigLIP-like towers with a square
 * input. Resizing follows Pillow, not the library's own resize, which does not filter when it reduces.
 *
 * @throws MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function readImageTransform(dir: string): Promise<ImageTransform> {
  const path = join(dir, "preprocessor_config.json");
  const parsed = schema.safeParse(await readJson(path));
  if (!parsed.success) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${path} describes no CLIP- or SigLIP-like processor: ${z.prettifyError(parsed.error)}`,
    );
  }
  const config = parsed.data;
  const target = config.do_center_crop ? (config.crop_size ?? config.size) : config.size;
  const kernel = kernels[config.resample];
  if (!target || !kernel) {
    throw new TtsVarError("MODEL_INVALID", `${path}: size and a resample of 1, 2 or 3 are needed`);
  }
  const edge = "shortest" in target ? target.shortest : target.height;
  if ("width" in target && target.width !== edge) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${path}: the input must be square, not ${target.width} x ${edge}`,
    );
  }
  return {
    size: edge,
    kernel,
    fit: config.do_center_crop || (config.size && "shortest" in config.size) ? "crop" : "squash",
    cropRounding: "floor",
    mean: config.do_normalize ? config.image_mean : [0, 0, 0],
    std: config.do_normalize ? config.image_std : [1, 1, 1],
  };
}

const resizeSchema = z.looseObject({
  do_resize: z.boolean().default(true),
  // What is no size of these forms leaves images as they are.
  size: inputSizeSchema.optional().catch(undefined),
  max_size: side.optional(),
});

/** The size that `preprocessor_config.json` states; null if images keep theirs. @throws MODEL_INVALID */
export async function readInputSize(dir: string): Promise<InputSize | null> {
  const path = join(dir, "preprocessor_config.json");
  if (!existsSync(path)) return null;
  const { do_resize, size, max_size } = parseWith(resizeSchema, await readJson(path), path);
  if (!do_resize || size === undefined) return null;
  return "shortest" in size && max_size !== undefined ? { longest: max_size, ...size } : size;
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
