import type { RgbImage } from "../../../core/image.ts";
import type { RngStream } from "../../../core/rng.ts";
import { signalShare } from "../diffusion.ts";

/** How coarse tokens lie under the canvas: each is the mean of a block of tokens, brought to unit variance by channel. */
export interface Grid {
  /** Sides of the coarse canvas and of the fine one. */
  readonly coarse: number;
  readonly fine: number;
  /** Deviation of the means, by value of a token. */
  readonly spread: readonly number[];
}

/** Which coarse token lies under each position of the canvas. */
export function tokenUnder({ coarse, fine }: Grid): number[] {
  return Array.from({ length: fine * fine }, (_, at) => {
    const [row, column] = [Math.floor(at / fine), at % fine];
    return Math.floor((row * coarse) / fine) * coarse + Math.floor((column * coarse) / fine);
  });
}

/** Coarse tokens, [coarse * coarse, values], of fine ones, [fine * fine, values]. */
export function coarsen(grid: Grid, tokens: Float32Array): Float32Array {
  const { coarse, fine, spread } = grid;
  const share = (coarse / fine) ** 2;
  const out = new Float32Array(coarse * coarse * spread.length);
  tokenUnder(grid).forEach((token, at) => {
    spread.forEach((deviation, value) => {
      out[token * spread.length + value]! += (share * tokens[at * spread.length + value]!) / deviation;
    });
  });
  return out;
}

/** Fine tokens that show coarse ones. */
export function enlarge(grid: Grid, tokens: Float32Array): Float32Array {
  const { spread } = grid;
  return Float32Array.from(
    tokenUnder(grid).flatMap((token) =>
      spread.map((deviation, value) => deviation * tokens[token * spread.length + value]!),
    ),
  );
}

/** Coarse tokens with noise of a time mixed in, as the fine level reads them (condition augmentation). */
export function augmented(tokens: Float32Array, time: number, stream: RngStream, from: number): Float32Array {
  if (time === 0) return tokens;
  const kept = signalShare(time);
  return tokens.map((value, at) => Math.sqrt(kept) * value + Math.sqrt(1 - kept) * stream.normal(from + at));
}

/** An image at other sides, each pixel as the nearest. */
export function nearestPixels(image: RgbImage, width: number, height: number): RgbImage {
  if (image.width === width && image.height === height) return image;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = Math.floor((y * image.height) / height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = 3 * (row + Math.floor((x * image.width) / width));
      data.set(image.data.subarray(from, from + 3), 3 * (y * width + x));
    }
  }
  return { width, height, data };
}
