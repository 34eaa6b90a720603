import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { parseWith } from "../folder/model-folder.ts";
import { readJson } from "../folder/read-json.ts";
import { type Graph, openGraph } from "../runtime/graph.ts";
import { loadTokenizer } from "../runtime/tokenizer.ts";
import { unit } from "./cosine.ts";

const configSchema = z.looseObject({
  model_type: z.string(),
  text_config: z.looseObject({ max_position_embeddings: z.int().positive().optional() }).optional(),
});

/** Prompts to unit vectors. Each prompt is encoded once: a search asks for one prompt again and again. */
export interface TextTower extends AsyncDisposable {
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
export async function openTextTower(dir: string): Promise<TextTower> {
  const config = await readConfig(dir);
  const family = config.model_type.startsWith("siglip") ? "siglip" : "clip";
  const length = config.text_config?.max_position_embeddings ?? usualLength[family];
  const tokenizer = await loadTokenizer(dir, length);
  const graph = await openGraph(join(dir, "onnx", "text_model.onnx"));
  const padded = family === "siglip" || !graph.inputs.includes("attention_mask");
  const pad = family === "siglip" ? (tokenizer.padding ?? siglipPad) : 0;
  const known = new Map<string, Promise<Float64Array>>();
  return {
    embed(prompt) {
      let embedding = known.get(prompt);
      if (!embedding) {
        const ids = tokenizer.encode(prompt);
        const missing = padded ? length - ids.length : 0;
        embedding = encode(graph, [...ids, ...Array<number>(missing).fill(pad)]);
        known.set(prompt, embedding);
        embedding.catch(() => known.delete(prompt));
      }
      return embedding;
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}

async function encode(graph: Graph, ids: readonly number[]): Promise<Float64Array> {
  const data = BigInt64Array.from(ids, BigInt);
  const mask = graph.inputs.includes("attention_mask")
    ? { attention_mask: { dims: [1, ids.length], data: data.map(() => 1n) } }
    : {};
  const output = outputOf(graph, ["text_embeds", "pooler_output"]);
  const result = await graph.run({ input_ids: { dims: [1, ids.length], data }, ...mask }, [output]);
  return unit(result[output]!.data, "text embedding");
}

/** The first of the wanted outputs that a graph has. @throws MODEL_INVALID */
export function outputOf(graph: Graph, wanted: readonly string[]): string {
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
