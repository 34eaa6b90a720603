import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../../../core/errors.ts";
import { filesIn } from "../../../inference/folder/model-files.ts";
import { identityOf, parseWith } from "../../../inference/folder/model-folder.ts";
import { readJson } from "../../../inference/folder/read-json.ts";
import { chooseGraphs, filesOf, type GraphFiles } from "./files.ts";
import { parseJanusSettings } from "./settings.ts";

/** What `model_type` of config.json says. */
export const MODEL_TYPE = "multi_modality";

const size = z.int().positive();
const configSchema = z.looseObject({
  model_type: z.literal(MODEL_TYPE),
  language_config: z.looseObject({
    hidden_size: size,
    intermediate_size: size.optional(),
    num_hidden_layers: size,
    num_attention_heads: size,
    num_key_value_heads: size.optional(),
    head_dim: size.optional(),
    max_position_embeddings: size.default(16384),
  }),
  gen_vision_config: z
    .looseObject({
      params: z
        .looseObject({
          image_token_size: size.default(16384),
          ch: size.default(128),
          ch_mult: z.array(size).default([1, 1, 2, 2, 4]),
          num_res_blocks: z.int().min(0).default(2),
          z_channels: size.default(256),
        })
        .prefault({}),
    })
    .prefault({}),
});
const processorSchema = z.looseObject({ num_image_tokens: size.default(576) });
const imageSchema = z.looseObject({ image_size: size.default(384) });
const generationSchema = z.looseObject({
  pad_token_id: z.int().min(0).optional(),
  guidance_scale: z.number().min(0).max(100).default(5),
});

/** Sizes of the language model. */
export interface JanusText {
  readonly hidden: number;
  readonly feedForward: number;
  readonly layers: number;
  readonly heads: number;
  /** Heads of keys and values. */
  readonly shared: number;
  readonly headDim: number;
  /** Longest sequence. */
  readonly positions: number;
}

/** The picture's tokenizer, as far as its decoder's price follows from it. */
export interface JanusVision {
  /** Entries of the codebook. */
  readonly codes: number;
  readonly channels: number;
  readonly multipliers: readonly number[];
  readonly blocks: number;
  readonly latent: number;
}

/** A Janus folder read as far as planning needs. */
export interface JanusModel {
  readonly dir: string;
  readonly name: string;
  readonly modelId: string;
  readonly text: JanusText;
  readonly vision: JanusVision;
  /** Rows of tokens, and tokens a row. */
  readonly side: number;
  /** Pixels of the picture's sides. */
  readonly pixels: number;
  /** Id of the token that pads; null: the tokenizer's. */
  readonly pad: number | null;
  readonly guidance: number;
  readonly graphs: GraphFiles;
  /** Bytes of a graph's files, by graph. */
  readonly bytes: Readonly<Record<keyof GraphFiles, number>>;
}

/**
 * Reads a folder in the layout that transformers.js loads for `MultiModalityCausalLM`, without weights.
 *
 * @param settings `model.options`; of them only `dtype` matters here
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID
 */
export async function readJanus(dir: string, settings: unknown): Promise<JanusModel> {
  const read = async <Schema extends z.ZodType>(
    name: string,
    schema: Schema,
    needed = false,
  ): Promise<z.output<Schema>> => {
    const path = join(dir, name);
    return parseWith(schema, needed || existsSync(path) ? await readJson(path) : {}, path);
  };
  const config = await read("config.json", configSchema, true);
  const { num_image_tokens } = await read("processor_config.json", processorSchema);
  const { image_size } = await read("preprocessor_config.json", imageSchema);
  const generation = await read("generation_config.json", generationSchema);
  const { language_config: language, gen_vision_config: picture } = config;
  const side = Math.round(Math.sqrt(num_image_tokens));
  if (side * side !== num_image_tokens || image_size % side !== 0) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `${dir}: ${num_image_tokens} image tokens do not make a square picture of ${image_size} pixels`,
    );
  }
  const paths = await filesIn(dir);
  const graphs = chooseGraphs(paths, parseJanusSettings(settings).dtype ?? null, dir);
  const name = nameOf(dir);
  const { params } = picture;
  return {
    dir,
    name,
    modelId: await identityOf(dir, name, filesOf(graphs, paths)),
    text: {
      hidden: language.hidden_size,
      feedForward: language.intermediate_size ?? Math.round(2.75 * language.hidden_size),
      layers: language.num_hidden_layers,
      heads: language.num_attention_heads,
      shared: language.num_key_value_heads ?? language.num_attention_heads,
      headDim: language.head_dim ?? language.hidden_size / language.num_attention_heads,
      positions: language.max_position_embeddings,
    },
    vision: {
      codes: params.image_token_size,
      channels: params.ch,
      multipliers: params.ch_mult,
      blocks: params.num_res_blocks,
      latent: params.z_channels,
    },
    side,
    pixels: image_size,
    pad: generation.pad_token_id ?? null,
    guidance: generation.guidance_scale,
    graphs,
    bytes: await bytesOf(dir, graphs),
  };
}

/** The folder's name; of one in the hub's cache, that of the model. */
function nameOf(dir: string): string {
  const repository = /[\\/]hub[\\/][^\\/]+--([^\\/]+)[\\/]/.exec(`${dir}/`)?.[1];
  return repository ?? basename(dir);
}

async function bytesOf(dir: string, graphs: GraphFiles): Promise<Record<keyof GraphFiles, number>> {
  const entries = Object.entries(graphs).map(async ([name, { path, weights }]) => {
    const sizes = await Promise.all(
      [path, ...weights].map(async (each) => (await stat(join(dir, each))).size),
    );
    return [name, sizes.reduce((sum, bytes) => sum + bytes, 0)] as const;
  });
  return Object.fromEntries(await Promise.all(entries)) as Record<keyof GraphFiles, number>;
}
