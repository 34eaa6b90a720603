import { openModelFolder } from "../folder/model-folder.ts";
import { stackTensors } from "../runtime/stack-tensors.ts";
import type { Clip, LoadOptions } from "./clip-types.ts";
import { openDualTower } from "./dual-tower.ts";
import { fitImage, readImageTransform, readInputSize } from "./image-processor.ts";

/**
 * Loads a CLIP folder in the layout of transformers.js (`onnx/text_model.onnx`, `onnx/vision_model.onnx`), the embedded
 * dual encoder or any exported CLIP. Files are verified if the folder has a manifest. A result never depends on what
 * else was asked for in the same call.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function loadClip(dir: string, load: LoadOptions = {}): Promise<Clip> {
  const folder = await openModelFolder(dir, { allowBare: true });
  const { texts, images, ...towers } = await openDualTower(
    folder.dir,
    await readImageTransform(folder.dir),
    load,
  );
  const size = await readInputSize(folder.dir);
  return {
    modelId: folder.modelId,
    encodeText: async (prompts) => stackTensors(await Promise.all(prompts.map(texts.encode))),
    encodeImages: async (batch) =>
      images.encode(await Promise.all(batch.map((image) => fitImage(image, size)))),
    dispose: async () => towers[Symbol.asyncDispose](),
  };
}
