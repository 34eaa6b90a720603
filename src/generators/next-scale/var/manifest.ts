import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { type ModelFolder, parseWith } from "../../../inference/folder/model-folder.ts";

const size = z.int().positive();
const file = z.looseObject({
  file: z.string().min(1),
  sha256: z.string().length(64),
  bytes: z.int().min(0).optional(),
  /** Model by whose name the file is known, if it is not of this folder. */
  of: z.string().optional(),
});
const tensor = z.looseObject({
  dtype: z.literal("float32"),
  shape: z.array(size),
  /** First byte in the sidecar file. */
  offset: z.int().min(0).multipleOf(4),
});

const manifestSchema = z.looseObject({
  family: z.literal("var"),
  image: z.looseObject({ stride: size }),
  architecture: z.looseObject({
    depth: size,
    embedDim: size,
    heads: size,
    codeChannels: size,
    vocabulary: size,
    classes: size,
  }),
  /** Sides of the token maps, coarse to fine. */
  sides: z.array(size).min(2),
  /** Which of the shared phi convolutions each scale uses; ties of their choice differ by language. */
  phi: z.array(z.int().min(0)),
  /** Names of the classes in order; absent: classes are given by number. */
  labels: z.array(z.string().min(1)).optional(),
  sampling: z.looseObject({
    /** Guidance at the last scale; it rises from 0 at the first (VAR's `cfg`). */
    guidance: z.number().min(0),
    temperature: z.number().positive(),
    topK: size.optional(),
    topP: z.number().gt(0).max(1),
  }),
  graphs: z.looseObject({
    condition: file,
    step: file,
    vae_decode: file,
    vae_encode: file.optional(),
  }),
  externalData: z
    .looseObject({
      files: z.record(z.string(), z.looseObject({ sha256: z.string(), bytes: z.int().min(0) })),
    })
    .optional(),
  dtype: z.enum(["fp32", "fp16"]).optional(),
  sidecar: file.extend({
    tensors: z.looseObject({
      /** Level and position embeddings of all tokens, [sum of tokens, embedDim]. */
      positions: tensor,
      pos_start: tensor,
      "word_embed.bias": tensor,
      codebook: tensor,
      "phi.weight": tensor,
      "phi.bias": tensor,
    }),
  }),
  flops: z.looseObject({ condition: z.number().min(0), decodePerLatentCell: z.number().positive() }),
});

/** A validated manifest of the VAR family. */
export type VarManifest = z.output<typeof manifestSchema>;

/**
 * The manifest of a model folder as this family's.
 *
 * @throws TtsVarError MODEL_INVALID with every problem and its place
 */
export function varManifest(folder: ModelFolder): VarManifest {
  const path = join(folder.dir, "manifest.json");
  const manifest = parseWith(manifestSchema, folder.manifest, path);
  const { sides, phi, labels, architecture, sidecar } = manifest;
  const invalid = (message: string): never => {
    throw new TtsVarError("MODEL_INVALID", `${path}: ${message}`);
  };
  if (sides[0] !== 1) invalid("the first scale must have one token");
  // A matrix product with a single row takes another path in the runtime; see decision record 0003.
  if (sides.slice(1).some((side) => side === 1))
    invalid("scales after the first must have more than one token");
  if (phi.length !== sides.length) invalid("phi must have one entry per scale");
  const shared = sidecar.tensors["phi.bias"].shape[0] ?? 0;
  if (phi.some((index) => index >= shared))
    invalid(`phi names a convolution beyond the ${shared} that there are`);
  if (labels && labels.length !== architecture.classes) invalid("labels must have one name per class");
  return manifest;
}

export function lengthsOf({ sides }: VarManifest): number[] {
  return sides.map((side) => side * side);
}
