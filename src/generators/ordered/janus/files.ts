import { TtsVarError } from "../../../core/errors.ts";

/** Graphs of a Janus folder that drawing needs, by the names of transformers.js (`onnx/NAME[SUFFIX].onnx`). */
export const GRAPHS = [
  "prepare_inputs_embeds",
  "language_model",
  "gen_head",
  "gen_img_embeds",
  "image_decode",
] as const;
export type GraphName = (typeof GRAPHS)[number];

/** How weights may be stored, with the suffix that transformers.js gives such files. */
export const SUFFIXES = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
} as const;
export type Dtype = keyof typeof SUFFIXES;
export const DTYPES = Object.keys(SUFFIXES) as [Dtype, ...Dtype[]];

/** Files of a folder that are read besides graphs. */
export const TEXTS = [
  "config.json",
  "generation_config.json",
  "preprocessor_config.json",
  "processor_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
] as const;

/**
 * Preferred without a wish: four bits for what is large and only looked up or multiplied, full precision for what makes the
 * distribution and the picture.
 */
const PREFERRED: Readonly<Record<GraphName, readonly Dtype[]>> = {
  prepare_inputs_embeds: ["q4", "fp32", "fp16", "q8"],
  language_model: ["q4", "fp32", "fp16", "q8", "q4f16"],
  gen_head: ["fp32", "fp16", "q8", "q4"],
  gen_img_embeds: ["fp32", "fp16", "q8", "q4"],
  image_decode: ["fp32", "fp16", "q8", "q4"],
};

/** A graph as chosen: its file, and the files with its weights beside it. */
export interface GraphFile {
  readonly dtype: Dtype;
  readonly path: string;
  readonly weights: readonly string[];
}
export type GraphFiles = Readonly<Record<GraphName, GraphFile>>;

/**
 * Chooses a file for each graph. With `dtype`, a graph that has no such file falls back to full precision, as folders often
 * store small graphs in fewer ways than the language model, which must have it.
 *
 * @param paths all files of the folder or repository
 * @throws TtsVarError MODEL_NOT_FOUND for a graph that is not there; CONFIG_INVALID for a dtype that the language model
 *   does not have
 */
export function chooseGraphs(paths: readonly string[], dtype: Dtype | null, where: string): GraphFiles {
  const has = new Set(paths);
  const choose = (name: GraphName): GraphFile => {
    const fileOf = (of: Dtype): string => `onnx/${name}${SUFFIXES[of]}.onnx`;
    const there = DTYPES.filter((each) => has.has(fileOf(each)));
    if (there.length === 0) {
      throw new TtsVarError(
        "MODEL_NOT_FOUND",
        `${where} has no onnx/${name}.onnx (nor one with a suffix: ${Object.values(SUFFIXES).filter(Boolean).join(", ")}); a Janus folder for drawing has ${GRAPHS.join(", ")}`,
      );
    }
    if (dtype !== null && name === "language_model" && !there.includes(dtype)) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `model.options.dtype is ${dtype}, but ${where} has ${fileOf("fp32")} as ${there.join(", ")} only`,
      );
    }
    const wishes = dtype === null ? PREFERRED[name] : [dtype, ...PREFERRED[name]];
    const chosen = wishes.find((each) => there.includes(each)) ?? there[0]!;
    const path = fileOf(chosen);
    const weights = paths.filter((each) => each === `${path}_data` || each.startsWith(`${path}_data_`));
    return { dtype: chosen, path, weights };
  };
  return Object.fromEntries(GRAPHS.map((name) => [name, choose(name)])) as Record<GraphName, GraphFile>;
}

/** All files that a choice needs. */
export function filesOf(graphs: GraphFiles, paths: readonly string[]): string[] {
  const texts = TEXTS.filter((path) => paths.includes(path));
  return [...texts, ...GRAPHS.flatMap((name) => [graphs[name].path, ...graphs[name].weights])].sort();
}
