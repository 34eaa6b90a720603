import { createHash } from "node:crypto";

/** An 8-bit RGB image, row-major, channels interleaved (`data.length === width * height * 3`). */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** Identity of an image: SHA-256 over its size and pixels, never over encoded bytes. */
export function pixelHash(image: RgbImage): string {
  return createHash("sha256").update(`${image.width}x${image.height}:`).update(image.data).digest("hex");
}

/** Identity of a clip: SHA-256 over the identities of its frames. */
export function framesHash(frames: readonly RgbImage[]): string {
  const hash = createHash("sha256");
  for (const frame of frames) hash.update(pixelHash(frame));
  return hash.digest("hex");
}
