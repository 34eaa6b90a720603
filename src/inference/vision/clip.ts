import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import { siblingModule } from "../../threads/start-thread.ts";
import { openRemote } from "../runtime/worker/inference-worker.ts";

/** What a CLIP vision tower says of images. */
export interface ClipImages {
  /** [images, channels], not normalised. */
  readonly embeds: Tensor;
  /** [images, 1 + patches, hidden], summary token first; null if the graph has no `last_hidden_state`. */
  readonly tokens: Tensor | null;
}

/** A text and an image tower with a common embedding space. */
export interface Clip {
  /** Identity of the weights. */
  readonly modelId: string;
  /** FLOPs per image and per text; 0 where the manifest does not say. */
  readonly flops: { readonly image: number; readonly text: number };
  /** [prompts, channels], not normalised. */
  encodeText(prompts: readonly string[]): Promise<Tensor>;
  encodeImages(images: readonly RgbImage[]): Promise<ClipImages>;
  dispose(): Promise<void>;
}

/** Functions of the service behind a `Clip`. */
export type ClipMethods = {
  describe(): Promise<Pick<Clip, "modelId" | "flops">>;
  encodeText: Clip["encodeText"];
  encodeImages: Clip["encodeImages"];
};

export interface LoadOptions {
  readonly threads?: number;
  /** Compute on the calling thread instead of the scoring worker. */
  readonly inProcess?: boolean;
}

/**
 * Loads a CLIP folder in the layout of transformers.js (`onnx/text_model.onnx`, `onnx/vision_model.onnx`), the embedded
 * dual encoder or any exported CLIP. Files are verified if the folder has a manifest. A result never depends on what
 * else was asked for in the same call.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function loadClip(dir: string, { inProcess, ...options }: LoadOptions = {}): Promise<Clip> {
  if (inProcess) {
    const { openClip } = await import("./clip-service.ts");
    return openClip({ dir, ...options });
  }
  const module = siblingModule(import.meta.url, "./clip-service");
  const remote = await openRemote<ClipMethods>(module, { dir, ...options }, "scoring");
  return {
    ...(await remote.call("describe")),
    encodeText: (prompts) => remote.call("encodeText", prompts),
    encodeImages: (images) => remote.call("encodeImages", images),
    dispose: async () => remote[Symbol.asyncDispose](),
  };
}
