import { join } from "node:path";
import type { RgbImage } from "../../core/image.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { openGraph } from "../runtime/graph.ts";
import { stackTensors } from "../runtime/stack-tensors.ts";
import type { ClipImages, LoadOptions } from "./clip-types.ts";
import { unit } from "./cosine.ts";
import { type ImageTransform, toPixelValues } from "./preprocess.ts";
import { outputOf } from "./text-tower.ts";

/** Images to vectors. */
export interface VisionTower extends AsyncDisposable {
  /** Embeddings and patch tokens, as the graph gives them. */
  encode(images: readonly RgbImage[]): Promise<ClipImages>;
  /** Unit vectors along the embeddings. */
  embed(images: readonly RgbImage[]): Promise<Float64Array[]>;
}

/** Images that wait at the graph. */
const WAITING = 4;
const patchTokens = "last_hidden_state";

/** Opens `onnx/vision_model.onnx`; `image_embeds` (CLIP) or `pooler_output` (SigLIP) is its embedding. */
export async function openVisionTower(
  dir: string,
  transform: ImageTransform,
  load: LoadOptions = {},
): Promise<VisionTower> {
  const graph = await openGraph(join(dir, "onnx", "vision_model.onnx"), load);
  const output = outputOf(graph, ["image_embeds", "pooler_output"]);

  /**
   * One image at a time: a row's bits could otherwise depend on the number of rows (see decision record 0003). The next ones
   * wait at the graph, so that they are prepared while one is computed.
   */
  async function run(images: readonly RgbImage[], fetches: readonly string[]): Promise<Tensor[]> {
    const rows: Promise<Record<string, Tensor>>[] = [];
    for (const [index, image] of images.entries()) {
      await rows[index - WAITING];
      const row = graph.run({ pixel_values: toPixelValues([image], transform) }, fetches);
      // Whoever waits for an earlier one hears of its failure first.
      row.catch(() => undefined);
      rows.push(row);
    }
    const done = await Promise.all(rows);
    return fetches.map((name) => stackTensors(done.map((row) => row[name]!)));
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
