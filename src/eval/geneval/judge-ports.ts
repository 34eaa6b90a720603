import type { RgbImage } from "../../core/image.ts";
import type { Box } from "./geometry.ts";

/** One byte per pixel of the image, row-major; non-zero inside the object. */
export interface ObjectMask {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** An object found in an image. Boxes are in pixels of that image. */
export interface DetectedObject {
  readonly label: string;
  readonly score: number;
  readonly box: Box;
  /** Probabilities of GenEval's ten colours, if the detector has a colour head. */
  readonly colors?: Float32Array;
  readonly mask?: ObjectMask;
}

/** Finds objects of GenEval's 80 classes (under GenEval's names). */
export interface Detector extends AsyncDisposable {
  /** Name and hash of the weights: `name@hash`. */
  readonly modelId: string;
  /** FLOPs per image. */
  readonly flops: number;
  detect(images: readonly RgbImage[]): Promise<readonly (readonly DetectedObject[])[]>;
}

/** Names the colour of objects that a detector found. */
export interface ColorClassifier extends AsyncDisposable {
  /** For the judge's label; null when it is the detector itself. */
  readonly id: string | null;
  /** Colour names in the order of `objects`; all objects are of class `name` and in `image`. */
  classify(image: RgbImage, objects: readonly DetectedObject[], name: string): Promise<string[]>;
}
