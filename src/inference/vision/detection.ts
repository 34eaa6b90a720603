import type { RgbImage } from "../../core/image.ts";
import type { LoadOptions } from "./clip-types.ts";

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
