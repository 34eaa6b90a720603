import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import { type Kernel, resample } from "./resize-pillow.ts";

/** How an image becomes the input of a vision tower. */
export interface ImageTransform {
  /** Side of the square input in pixels. */
  readonly size: number;
  readonly kernel: Kernel;
  /**
   * - `crop`: shorter side to `size`, centre crop (OpenAI CLIP, ImageReward, PickScore);
   * - `squash`: both sides to `size`, aspect ratio lost (SigLIP);
   * - `pad`: in float after scaling to 0..1: longer side to `size`, zeros around it (HPS v2).
   */
  readonly fit: "crop" | "squash" | "pad";
  /** Rounding of the crop's corner where it falls between pixels: torchvision rounds half to even, transformers down. */
  readonly cropRounding?: "torchvision" | "floor";
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** OpenAI CLIP's constants, used by ImageReward, HPS v2, PickScore and the LAION predictor too. */
export const clipTransform: ImageTransform = {
  size: 224,
  kernel: "bicubic",
  fit: "crop",
  cropRounding: "torchvision",
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};

export const hpsTransform: ImageTransform = { ...clipTransform, fit: "pad" };

export const siglipTransform: ImageTransform = {
  size: 384,
  kernel: "bicubic",
  fit: "squash",
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

/** [n, 3, size, size] float32, as the originals compute it from each image by itself. */
export function toPixelValues(images: readonly RgbImage[], transform: ImageTransform): Tensor {
  const { size } = transform;
  const plane = size * size;
  const data = new Float32Array(images.length * 3 * plane);
  images.forEach((image, index) => {
    const fitted =
      transform.fit === "pad" ? padToSquare(image, transform) : fitEightBit(image, transform).data;
    const scale = transform.fit === "pad" ? 1 : 255;
    for (let c = 0; c < 3; c++) {
      const offset = (index * 3 + c) * plane;
      for (let i = 0; i < plane; i++) {
        // float32 at each step, as torch does it
        const value = Math.fround(fitted[i * 3 + c]! / scale);
        data[offset + i] =
          Math.fround(value - Math.fround(transform.mean[c]!)) / Math.fround(transform.std[c]!);
      }
    }
  });
  return { dims: [images.length, 3, size, size], data };
}

/** The resized and cropped 8-bit image, before scaling and normalising. */
export function fitEightBit(image: RgbImage, transform: ImageTransform): RgbImage {
  const { size, kernel } = transform;
  if (transform.fit === "squash") {
    return {
      width: size,
      height: size,
      data: resample(image.data, image, { width: size, height: size }, kernel),
    };
  }
  const short = Math.min(image.width, image.height);
  const scaled = (side: number) => (side === short ? size : Math.trunc((size * side) / short));
  const resized = { width: scaled(image.width), height: scaled(image.height) };
  const data = resample(image.data, image, resized, kernel);
  const corner = transform.cropRounding === "floor" ? Math.floor : roundHalfToEven;
  const left = corner((resized.width - size) / 2);
  const top = corner((resized.height - size) / 2);
  const cropped = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const from = ((top + y) * resized.width + left) * 3;
    cropped.set(data.subarray(from, from + size * 3), y * size * 3);
  }
  return { width: size, height: size, data: cropped };
}

/** HPS v2: to a 0..1 tensor first, then the longer side to `size` and zeros around, before normalising. */
function padToSquare(image: RgbImage, transform: ImageTransform): Float32Array {
  const { size, kernel } = transform;
  const scale = size / Math.max(image.width, image.height);
  const resized = {
    width: roundHalfToEven(image.width * scale),
    height: roundHalfToEven(image.height * scale),
  };
  const unit = Float32Array.from(image.data, (value) => value / 255);
  const data = resample(unit, image, resized, kernel);
  const left = Math.floor((size - resized.width) / 2);
  const top = Math.floor((size - resized.height) / 2);
  const padded = new Float32Array(size * size * 3);
  for (let y = 0; y < resized.height; y++) {
    const row = data.subarray(y * resized.width * 3, (y + 1) * resized.width * 3);
    padded.set(row, ((top + y) * size + left) * 3);
  }
  return padded;
}

/** Python's round(). */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
