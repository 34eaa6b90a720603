import type { RgbImage } from "../../core/image.ts";
import { siblingModule } from "../../threads/start-thread.ts";
import { openRemote } from "../runtime/worker/inference-worker.ts";
import type { LoadOptions } from "./clip.ts";

/** One object that a detector sees. */
export interface Detection {
  readonly label: string;
  /** Probability of the label. */
  readonly score: number;
  /** [x0, y0, x1, y1] in pixels of the given image, cut at its borders. */
  readonly box: readonly [number, number, number, number];
  /** Probabilities of the colours (in the order of `color_labels` of config.json), if the model has a colour head. */
  readonly colors?: Float32Array;
  /** One byte per pixel of the image, 1 inside the object, if the model draws masks. */
  readonly mask?: Uint8Array;
}

export interface Detector {
  /** Identity of the weights. */
  readonly modelId: string;
  /** FLOPs per image; 0 if the manifest does not say. */
  readonly flops: number;
  readonly labels: readonly string[];
  /** Detections with at least `minimumScore`, best first, per image. */
  detect(images: readonly RgbImage[]): Promise<Detection[][]>;
  dispose(): Promise<void>;
}

export interface DetectorOptions extends LoadOptions {
  /** Weaker detections are dropped; default 0.05. */
  readonly minimumScore?: number;
}

/** Functions of the service behind a `Detector`. */
export type DetectorMethods = {
  describe(): Promise<Pick<Detector, "modelId" | "flops" | "labels">>;
  detect: Detector["detect"];
};

/**
 * Loads a detector folder in the layout of transformers.js (`onnx/model.onnx`; YOLOS, DETR, RT-DETR, D-FINE, ...).
 * Files are verified if the folder has a manifest. A result never depends on what else was asked for in the same call.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME
 */
export async function loadDetector(
  dir: string,
  { inProcess, ...options }: DetectorOptions = {},
): Promise<Detector> {
  if (inProcess) {
    const { openDetector } = await import("./detector-service.ts");
    return openDetector({ dir, ...options });
  }
  const module = siblingModule(import.meta.url, "./detector-service");
  const remote = await openRemote<DetectorMethods>(module, { dir, ...options }, "scoring");
  return {
    ...(await remote.call("describe")),
    detect: (images) => remote.call("detect", images),
    dispose: async () => remote[Symbol.asyncDispose](),
  };
}
