import { join } from "node:path";
import type { RgbImage } from "../../core/image.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { stackTensors } from "../runtime/stack-tensors.ts";
import type { ClipImages, LoadOptions } from "./clip-types.ts";
import { unit } from "./cosine.ts";
import { openImageGraph } from "./image-graph.ts";
import { type ImageTransform, toPixelValues } from "./preprocess.ts";
import { outputOf } from "./text-tower.ts";

/** Images to vectors. */
export interface VisionTower extends AsyncDisposable {
  /** Embeddings and patch tokens, as the graph gives them. */
  encode(images: readonly RgbImage[]): Promise<ClipImages>;
  /** Unit vectors along the embeddings. */
  embed(images: readonly RgbImage[]): Promise<Float64Array[]>;
}

const patchTokens = "last_hidden_state";

/** Opens `onnx/vision_model.onnx`; `image_embeds` (CLIP) or `pooler_output` (SigLIP) is its embedding. */
export async function openVisionTower(
  dir: string,
  transform: ImageTransform,
  load: LoadOptions = {},
): Promise<VisionTower> {
  const graph = await openImageGraph(join(dir, "onnx", "vision_model.onnx"), load);
  const output = outputOf(graph, ["image_embeds", "pooler_output"]);

  async function run(images: readonly RgbImage[], fetches: readonly string[]): Promise<Tensor[]> {
    const rows = await graph.runEach(
      images.length,
      (index) => ({ pixel_values: toPixelValues([images[index]!], transform) }),
      fetches,
    );
    return fetches.map((name) => stackTensors(rows.map((row) => row[name]!)));
  }

  return {
    async encode(images) {
      const given = graph.outputs.includes(patchTokens);
      const [embeds, tokens] = await run(images, given ? [output, patchTokens] : [output]);
      return { embeds: embeds!, tokens: tokens ?? null };
    },
    async embed(images) {
      const [embeds] = await run(images, [output]);
      return images.map((_, row) => unit(rowOf(embeds!, row), "image embedding"));
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}
