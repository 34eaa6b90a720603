import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { RgbImage } from "../../core/image.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { readJson } from "../folder/read-json.ts";
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
  const graph = await openImageGraph(join(dir, "onnx", "vision_model.onnx"), {
    ...load,
    batch: await verifiedBatch(dir),
  });
  const output = outputOf(graph, ["image_embeds", "pooler_output"]);

  const run = (images: readonly RgbImage[], fetches: readonly string[]): Promise<Tensor[]> =>
    graph.runAll(
      images.length,
      (from, to) => ({ pixel_values: toPixelValues(images.slice(from, to), transform) }),
      fetches,
    );

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

const manifestSchema = z.looseObject({ verification: z.looseObject({ batch: z.int().positive() }) });

/** Images that the folder's manifest was found to take together with the bits of each alone; of others' towers nobody knows. */
async function verifiedBatch(dir: string): Promise<number> {
  const path = join(dir, "manifest.json");
  const manifest = existsSync(path) ? manifestSchema.safeParse(await readJson(path)) : undefined;
  return manifest?.success ? manifest.data.verification.batch : 1;
}
