import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { parseWith } from "../folder/model-folder.ts";
import { readJson } from "../folder/read-json.ts";
import { type Graph, openGraph } from "../runtime/graph.ts";
import { loadTokenizer } from "../runtime/tokenizer.ts";
import type { LoadOptions } from "./clip-types.ts";
import { unit } from "./cosine.ts";

const configSchema = z.looseObject({
  model_type: z.string(),
  text_config: z.looseObject({ max_position_embeddings: z.int().positive().optional() }).optional(),
});

/** Prompts to vectors. Each prompt is encoded once: a search asks for one prompt again and again. */
export interface TextTower extends AsyncDisposable {
  /** [1, channels], as the graph gives it. */
  encode(prompt: string): Promise<Tensor>;
  /** The unit vector along it. */
  embed(prompt: string): Promise<Float64Array>;
}

/** Text length of CLIP and of SigLIP where the folder does not say. */
const usualLength = { clip: 77, siglip: 64 };
/** SigLIP's end token, which also fills up, where the folder names no pad token. */
const siglipPad = 1;

/**
 * Opens `onnx/text_model.onnx` with its tokenizer. Over-long prompts keep their end token, at which CLIP pools.
 *
 * Padding: CLIP graphs with an attention mask get none, others zeros, which causal attention never sees. SigLIP is
 * trained on text padded to its full length without a mask and pools at the last place, so it gets its pad token, and a
 * mask of ones if its graph asks for one.
 */
export async function openTextTower(dir: string, load: LoadOptions = {}): Promise<TextTower> {
  const config = await readConfig(dir);
  const family = config.model_type.startsWith("siglip") ? "siglip" : "clip";
  const length = config.text_config?.max_position_embeddings ?? usualLength[family];
  const tokenizer = await loadTokenizer(dir, length);
  const graph = await openGraph(join(dir, "onnx", "text_model.onnx"), load);
  const padded = family === "siglip" || !graph.inputs.includes("attention_mask");
  const pad = family === "siglip" ? (tokenizer.padding ?? siglipPad) : 0;
  const output = outputOf(graph, ["text_embeds", "pooler_output"]);
  const known = new Map<string, Promise<Tensor>>();

  async function compute(prompt: string): Promise<Tensor> {
    const ids = tokenizer.encode(prompt);
    const missing = padded ? length - ids.length : 0;
    const data = BigInt64Array.from([...ids, ...Array<number>(missing).fill(pad)], BigInt);
    const dims = [1, data.length];
    const mask = graph.inputs.includes("attention_mask")
      ? { attention_mask: { dims, data: data.map(() => 1n) } }
      : {};
    return (await graph.run({ input_ids: { dims, data }, ...mask }, [output]))[output]!;
  }

  function encode(prompt: string): Promise<Tensor> {
    const found = known.get(prompt) ?? compute(prompt);
    known.set(prompt, found);
    found.catch(() => known.delete(prompt));
    return found;
  }

  return {
    encode,
    embed: async (prompt) => unit((await encode(prompt)).data, "text embedding"),
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}

/** The first of the wanted outputs that a graph has. @throws MODEL_INVALID */
export function outputOf(graph: Pick<Graph, "outputs">, wanted: readonly string[]): string {
  const found = wanted.find((name) => graph.outputs.includes(name));
  if (found) return found;
  throw new TtsVarError(
    "MODEL_INVALID",
    `a tower must have the output ${wanted.join(" or ")}; this graph has ${graph.outputs.join(", ")}`,
  );
}

async function readConfig(dir: string): Promise<z.output<typeof configSchema>> {
  const path = join(dir, "config.json");
  return parseWith(configSchema, await readJson(path), path);
}
