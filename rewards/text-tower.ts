import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import { type Graph, openGraph } from "../src/models/graph.ts";
import { loadTokenizer } from "../src/models/tokenizer.ts";
import { unit } from "./cosine.ts";

const configSchema = z.looseObject({
  model_type: z.string(),
  text_config: z
    .looseObject({ max_position_embeddings: z.int().positive().optional(), pad_token_id: z.int().optional() })
    .optional(),
});

/** Prompts to unit vectors. Each prompt is encoded once: a search asks for one prompt again and again. */
export interface TextTower extends AsyncDisposable {
  embed(prompt: string): Promise<Float64Array>;
}

/** Text length of CLIP and of SigLIP where the folder does not say. */
const usualLength = { clip: 77, siglip: 64 };

/**
 * Opens `onnx/text_model.onnx` with its tokenizer. Over-long prompts keep their end token, at which CLIP pools.
 *
 * Padding: graphs with an attention mask get none; CLIP gets zeros, which its causal attention never sees; SigLIP is
 * trained on padded text and gets its own pad token up to its full length.
 */
export async function openTextTower(dir: string): Promise<TextTower> {
  const config = await readConfig(dir);
  const family = config.model_type.startsWith("siglip") ? "siglip" : "clip";
  const length = config.text_config?.max_position_embeddings ?? usualLength[family];
  const pad = family === "siglip" ? (config.text_config?.pad_token_id ?? 1) : 0;
  const tokenizer = await loadTokenizer(dir, length);
  const graph = await openGraph(join(dir, "onnx", "text_model.onnx"));
  const known = new Map<string, Promise<Float64Array>>();
  return {
    embed(prompt) {
      let embedding = known.get(prompt);
      if (!embedding) {
        embedding = encode(graph, padTo(tokenizer.encode(prompt), length, pad, graph));
        known.set(prompt, embedding);
        embedding.catch(() => known.delete(prompt));
      }
      return embedding;
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}

function padTo(ids: readonly number[], length: number, pad: number, graph: Graph): number[] {
  if (graph.inputs.includes("attention_mask")) return [...ids];
  return [...ids, ...Array<number>(length - ids.length).fill(pad)];
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
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new TtsVarError("MODEL_NOT_FOUND", `${path} is missing; copy the model folder again`, { cause });
  });
  const parsed = configSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new TtsVarError("MODEL_INVALID", `${path}: ${z.prettifyError(parsed.error)}`);
}
