import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { ImageTransform } from "./preprocess.ts";
import type { Kernel } from "./resize-pillow.ts";

const side = z.int().positive();
const size = z.union([
  side.transform((edge) => ({ shortest: edge })),
  z.object({ shortest_edge: side }).transform((s) => ({ shortest: s.shortest_edge })),
  z.object({ height: side, width: side }).transform((s) => ({ exact: s.height, width: s.width })),
]);
const channels = z.tuple([z.number(), z.number(), z.number()]);
const schema = z.object({
  size: size.optional(),
  crop_size: size.optional(),
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
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new TtsVarError("MODEL_NOT_FOUND", `${path} is missing; a reward's folder needs it`, { cause });
  });
  const parsed = schema.safeParse(JSON.parse(text));
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
  const edge = "shortest" in target ? target.shortest : target.exact;
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
