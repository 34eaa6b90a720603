import { join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import type { ShapeWish } from "../../../core/generator.ts";
import type { ModelFolder } from "../../../inference/folder/model-folder.ts";
import { parseWith } from "../../../inference/folder/model-folder.ts";
import { chooseShape, type NamedShape } from "../../choose-shape.ts";
import type { Grid } from "../resize.ts";

const size = z.int().positive();
const file = z.looseObject({
  file: z.string().min(1),
  sha256: z.string().length(64),
  bytes: z.int().min(0).optional(),
  /** Model by whose name the file is known, if it is not of this folder. */
  of: z.string().optional(),
  /** Hash of the graph that it computes with less precision. */
  approximates: z.string().length(64).optional(),
});
const grid = z.tuple([size, size]);
const flops = z.number().min(0);
const positions = z.array(z.array(z.int().min(0)));

const scheduleSchema = z
  .looseObject({
    id: z.string().min(1),
    /** Height divided by width of the image. */
    ratio: z.number().positive(),
    /** What Infinity calls the size: 0.06M, 0.25M, 0.60M or 1M. */
    pn: z.string().optional(),
    /** Token grids [h, w] per scale, coarse to fine. */
    scales: z.array(grid).min(2),
    /** Rotary positions of rows and columns per scale, as integers: their rounding has ties that differ by language. */
    rope: z.looseObject({ y: positions, x: positions }),
    /** FLOPs by scale for one candidate, with both guidance branches and with one; absent: computed (`rowFlops`). */
    stageFlops: z.array(z.object({ guided: flops, unguided: flops })).optional(),
  })
  .superRefine(({ scales, rope, stageFlops }, context) => {
    const wrong = (message: string) => context.addIssue({ code: "custom", message });
    const [first, ...later] = scales;
    if (first![0] * first![1] !== 1) wrong("the first scale must have one token (the start token)");
    // A matrix product with a single row takes another path in the runtime; see decision record 0003.
    if (later.some(([h, w]) => h * w === 1)) wrong("scales after the first must have more than one token");
    if (stageFlops && stageFlops.length !== scales.length) wrong("stageFlops must have one entry per scale");
    scales.forEach(([h, w], scale) => {
      if (rope.y[scale]?.length !== h || rope.x[scale]?.length !== w) {
        wrong(`scale ${scale} is ${h}x${w}, but its rope positions have other lengths`);
      }
    });
  });

const tensorSchema = z.looseObject({
  dtype: z.literal("float32"),
  shape: z.array(size),
  /** First byte in the sidecar file. */
  offset: z.int().min(0).multipleOf(4),
});

const manifestSchema = z.looseObject({
  family: z.string(),
  image: z.looseObject({ size, channels: z.literal(3), stride: size }),
  architecture: z.looseObject({
    depth: size,
    embedDim: size,
    heads: size,
    ffnHidden: size,
    textChannels: size,
    textMaxLength: size,
    codeChannels: size,
    tokenChannels: size,
    patchify: z.boolean(),
  }),
  schedules: z.array(scheduleSchema).min(1),
  /** Value of a set bit by scale and code channel; absent: 1/sqrt(codeChannels) everywhere (Infinity). */
  codeMagnitude: z.array(z.array(z.number().positive())).optional(),
  sampling: z.looseObject({
    guidance: z.array(z.number()).min(1),
    temperature: z.array(z.number().positive()).min(1),
    topP: z.number().gt(0).max(1),
    topK: size.optional(),
    guidanceUntil: z.int().min(0).optional(),
  }),
  graphs: z.looseObject({
    text_encoder: file,
    condition: file,
    step: file,
    vae_decode: file,
    vae_encode: file.optional(),
    vae_draft: file.optional(),
  }),
  /** Weights beside their graphs, by file; the runtime finds them there. */
  externalData: z
    .looseObject({
      files: z.record(z.string(), z.looseObject({ sha256: z.string(), bytes: z.int().min(0) })),
    })
    .optional(),
  /** How the large matrices are stored; absent: fp16. All graphs take and give float32. */
  dtype: z.enum(["fp32", "fp16", "int8", "int4"]).optional(),
  /** `blockwise`: the step graph never holds a whole matrix of attention scores. */
  attention: z.literal("blockwise").optional(),
  sidecar: file.extend({
    tensors: z.looseObject({
      lvl_embed: tensorSchema,
      pos_start: tensorSchema,
      "word_embed.bias": tensorSchema,
      cfg_uncond: tensorSchema,
    }),
  }),
  flops: z.looseObject({
    /** Text encoder and conditioning of one prompt and both groups, at `nominalTokens` tokens. */
    text: z.number().min(0),
    condition: z.number().min(0),
    decodePerLatentCell: z.number().positive(),
    /** Of the draft decoder, where there is one. */
    draftPerLatentCell: z.number().positive().optional(),
    nominalTokens: size.default(16),
  }),
});

/** A validated manifest of the Infinity family (`models/generator/manifest.json`, and exported checkpoints). */
export type InfinityManifest = z.output<typeof manifestSchema>;
export type Schedule = InfinityManifest["schedules"][number];

/**
 * The manifest of a model folder as this family's, or as that of a family which adds to it.
 *
 * @throws TtsVarError MODEL_INVALID with every problem and its place
 */
export function infinityManifest(folder: ModelFolder, family = "infinity"): InfinityManifest {
  const path = join(folder.dir, "manifest.json");
  const manifest = parseWith(manifestSchema, folder.manifest, path);
  if (manifest.family !== family) {
    throw new TtsVarError("MODEL_INVALID", `${path}: family must be ${family}, not ${manifest.family}`);
  }
  const { codeChannels, tokenChannels, patchify, embedDim, heads } = manifest.architecture;
  const invalid = (message: string): never => {
    throw new TtsVarError("MODEL_INVALID", `${path}: ${message}`);
  };
  if (tokenChannels !== codeChannels * (patchify ? 4 : 1)) {
    invalid(`tokenChannels ${tokenChannels} does not follow from codeChannels ${codeChannels}`);
  }
  if (embedDim % heads !== 0 || (embedDim / heads) % 4 !== 0) invalid("embedDim / heads must divide by 4");
  if (manifest.graphs.vae_draft && manifest.flops.draftPerLatentCell === undefined) {
    invalid("graphs has vae_draft, but flops has no draftPerLatentCell");
  }
  const scales = Math.max(...manifest.schedules.map((schedule) => schedule.scales.length));
  const magnitude = manifest.codeMagnitude;
  if (magnitude && (magnitude.length < scales || magnitude.some((row) => row.length !== codeChannels))) {
    invalid(`codeMagnitude must have ${scales} rows of ${codeChannels} values`);
  }
  return manifest;
}

/** Cells of the latent that a schedule's picture is decoded from. */
export function latentGrid(manifest: InfinityManifest, schedule: Schedule): Grid {
  const [h, w] = schedule.scales.at(-1)!;
  const side = manifest.architecture.patchify ? 2 : 1;
  return { h: h * side, w: w * side };
}

/** Shape of a schedule's picture, in pixels. */
export function scheduleShape(manifest: InfinityManifest, schedule: Schedule): NamedShape {
  const { h, w } = latentGrid(manifest, schedule);
  const { stride } = manifest.image;
  return { id: schedule.id, width: w * stride, height: h * stride, label: schedule.pn };
}

/**
 * The schedule that fits a wish, by default the first.
 *
 * @throws TtsVarError CONFIG_INVALID with the schedules of the model
 */
export function findSchedule(manifest: InfinityManifest, wish: ShapeWish = {}): Schedule {
  const shapes = manifest.schedules.map((schedule) => ({ ...scheduleShape(manifest, schedule), schedule }));
  return chooseShape(shapes, wish).schedule;
}
