import { siblingModule } from "../../threads/start-thread.ts";
import { openRemote } from "../runtime/worker/inference-worker.ts";
import type { Detector, DetectorMethods, DetectorOptions } from "./detection.ts";

/**
 * Loads a detector folder in the layout of transformers.js (`onnx/model.onnx`; YOLOS, DETR, RT-DETR, D-FINE, ...).
 * Files are verified if the folder has a manifest. A result never depends on what else was asked for in the same call.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function loadDetector(dir: string, options: DetectorOptions = {}): Promise<Detector> {
  const module = siblingModule(import.meta.url, "./detector-service");
  const remote = await openRemote<DetectorMethods>(module, { dir, ...options }, "scoring");
  return {
    ...(await remote.call("describe")),
    detect: (images) => remote.call("detect", images),
    dispose: async () => remote[Symbol.asyncDispose](),
  };
}
