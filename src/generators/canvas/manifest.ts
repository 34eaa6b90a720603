import { join } from "node:path";
import * as z from "zod";
import type { GeneratorCost, Shape } from "../../core/generator.ts";
import { type ModelFolder, parseWith } from "../../inference/folder/model-folder.ts";

const size = z.int().positive();
const flops = z.number().min(0);
const file = z.looseObject({
  file: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().min(0).optional(),
  /** Model by whose name the file is known, if it is not of this folder. */
  of: z.string().optional(),
});

/** What the manifests of all canvas families have; the families add their sampling and further graphs. */
export const canvasSchema = z.looseObject({
  family: z.string(),
  image: z.looseObject({ size, stride: size }),
  architecture: z.looseObject({ depth: size, width: size, heads: size, textMaxLength: size }),
  /** Model folder whose autoencoder the tokens stand on, and its channels; with the hashes of the graphs that are used. */
  latents: z.looseObject({
    model: z.string(),
    channels: size,
    decoder: z.string(),
    encoder: z.string().optional(),
    draft: z.string().optional(),
  }),
  /** Values of a token. */
  tokenChannels: size,
  graphs: z.looseObject({ prompt: file, step: file, widen: file, narrow: file.optional() }),
  flops: z.looseObject({
    /** Text encoder and conditioning, both groups. */
    prompt: flops,
    /** One pass over the whole canvas, one candidate and one guidance group. */
    pass: flops,
    /** From tokens to a full-size picture, and to its draft where the autoencoder has a draft decoder. */
    view: flops,
    draft: flops.optional(),
  }),
});

export type CanvasManifest = z.output<typeof canvasSchema>;

/**
 * The manifest of a model folder as a family's.
 *
 * @throws TtsVarError MODEL_INVALID with every problem and its place
 */
export function canvasManifest<Manifest extends CanvasManifest>(
  folder: ModelFolder,
  schema: z.ZodType<Manifest>,
): Manifest {
  return parseWith(schema, folder.manifest, join(folder.dir, "manifest.json"));
}

/** Prices of views of a canvas; `ahead` is what guessing at its end costs besides the picture, for families that can. */
export function canvasViews(
  { flops, latents }: CanvasManifest,
  ahead?: number,
): Pick<GeneratorCost, "views" | "drafts"> {
  const of = (picture: number) => ({
    now: picture,
    ...(ahead === undefined ? {} : { ahead: picture + ahead }),
  });
  const drafted = latents.draft !== undefined && flops.draft !== undefined;
  return { views: of(flops.view), ...(drafted ? { drafts: of(flops.draft!) } : {}) };
}

/** The same for clips, of which views show the frames so far: a whole one costs as much as all its frames. */
export function clipViews(manifest: CanvasManifest, frames: number): Pick<GeneratorCost, "views" | "drafts"> {
  const { flops } = manifest;
  const draft = flops.draft === undefined ? undefined : frames * flops.draft;
  return canvasViews({ ...manifest, flops: { ...flops, view: frames * flops.view, draft } });
}

/** Tokens of the canvas by side. */
export function sideOf({ image }: CanvasManifest): number {
  return image.size / image.stride;
}

/** The one shape that a canvas has. */
export function canvasShape({ image }: CanvasManifest): Shape {
  return { id: "1:1", width: image.size, height: image.size, frames: 1, grain: image.stride };
}
