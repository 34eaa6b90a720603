import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { FeatureExtractor } from "../core/features.ts";
import type { FeatureDefinition } from "../core/plugin.ts";
import type { Tensor } from "../core/tensor.ts";
import { modelFlops } from "../inference/folder/model-cost.ts";
import { openModelFolder } from "../inference/folder/model-folder.ts";
import { readJson } from "../inference/folder/read-json.ts";
import { openGraph } from "../inference/runtime/graph.ts";
import { stackTensors } from "../inference/runtime/stack-tensors.ts";
import { readImageTransform } from "../inference/vision/image-processor.ts";
import { toPixelValues } from "../inference/vision/preprocess.ts";
import { splitTokens } from "./split-tokens.ts";

const options = z.strictObject({});
const configSchema = z.looseObject({ patch_size: z.int().positive() });

/** Whether a folder has one vision transformer (DINOv2 and its kind) instead of the two towers of a dual encoder. */
export function isVisionFolder(dir: string): boolean {
  return existsSync(join(dir, "onnx", "model.onnx")) && !existsSync(join(dir, "onnx", "vision_model.onnx"));
}

/**
 * Patch tokens of a vision transformer in transformers.js layout (`onnx/model.onnx` from pixel_values to
 * last_hidden_state), such as DINOv2. Images are resized to the input's side directly, as TTS-VAR does it, not cropped
 * out of a larger one: what lies at the border counts.
 */
export function visionFeaturesDefinition(dir: string): FeatureDefinition<z.output<typeof options>> {
  return {
    name: "vision",
    summary: "patch tokens of a vision transformer, such as DINOv2",
    options,
    create: () => openVisionFeatures(dir),
  };
}

async function openVisionFeatures(dir: string): Promise<FeatureExtractor> {
  const folder = await openModelFolder(dir, { allowBare: true });
  const transform = await readImageTransform(dir);
  const config = configSchema.safeParse(await readJson(join(dir, "config.json")));
  if (!config.success) {
    throw new TtsVarError("MODEL_INVALID", `${join(dir, "config.json")} names no patch_size`);
  }
  const patches = Math.floor(transform.size / config.data.patch_size) ** 2;
  const flops = await modelFlops(folder);
  const file = join(dir, "onnx", "model.onnx");
  const graph = await openGraph(file);
  return {
    name: folder.name,
    version: folder.modelId,
    flops,
    async extract(images) {
      const rows: Tensor[] = [];
      // One at a time: a row's bits could otherwise depend on the number of rows (see decision record 0003).
      for (const image of images) {
        const input = { pixel_values: toPixelValues([image], transform) };
        const { last_hidden_state: tokens } = await graph.run(input, ["last_hidden_state"]);
        rows.push(tokens!);
      }
      const tokens = stackTensors(rows);
      const leading = tokens.dims[1]! - patches;
      if (leading < 1) {
        throw new TtsVarError(
          "MODEL_INVALID",
          `${file} gives ${tokens.dims[1]} tokens for ${patches} patches and a summary; check patch_size and the input's size`,
        );
      }
      return splitTokens(tokens, leading);
    },
    [Symbol.asyncDispose]: () => graph[Symbol.asyncDispose](),
  };
}
