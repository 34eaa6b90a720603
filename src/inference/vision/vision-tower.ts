import { join } from "node:path";
import type { RgbImage } from "../../core/image.ts";
import { openGraph } from "../runtime/graph.ts";
import { unit } from "./cosine.ts";
import { type ImageTransform, toPixelValues } from "./preprocess.ts";
import { outputOf } from "./text-tower.ts";

/** Images to unit vectors. */
export interface VisionTower extends AsyncDisposable {
  embed(images: readonly RgbImage[]): Promise<Float64Array[]>;
}

/** Opens `onnx/vision_model.onnx`; `image_embeds` (CLIP) or `pooler_output` (SigLIP) is its embedding. */
export async function openVisionTower(dir: string, transform: ImageTransform): Promise<VisionTower> {
  const graph = await openGraph(join(dir, "onnx", "vision_model.onnx"));
  const output = outputOf(graph, ["image_embeds", "pooler_output"]);
  return {
    async embed(images) {
      const vectors: Float64Array[] = [];
      // One at a time: a row's bits could otherwise depend on the number of rows.
      for (const image of images) {
        const result = await graph.run({ pixel_values: toPixelValues([image], transform) }, [output]);
        vectors.push(unit(result[output]!.data, "image embedding"));
      }
      return vectors;
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}
