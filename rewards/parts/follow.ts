import type { RgbImage } from "../../src/core/image.ts";

/** A thing in a frame: its pixels, how many they are, and their centre in shares of the sides. */
export interface Thing {
  readonly pixels: Uint8Array;
  readonly count: number;
  readonly x: number;
  readonly y: number;
}

type Rgb = readonly [number, number, number];

/** The ten colours as the synthetic world paints them. */
export const PAINT: Readonly<Record<string, Rgb>> = {
  red: [216, 30, 36],
  orange: [250, 132, 16],
  yellow: [252, 216, 40],
  green: [40, 156, 60],
  blue: [32, 92, 220],
  purple: [124, 48, 184],
  pink: [250, 124, 188],
  brown: [116, 68, 34],
  black: [26, 26, 30],
  white: [248, 248, 248],
};

/** Squared distance in RGB from which a pixel is no background. */
const APART = 60 ** 2;
/** Share of a frame's pixels below which there is nothing to be seen. */
const LEAST = 0.004;

const distance = (data: Uint8Array, at: number, [r, g, b]: Rgb): number =>
  (data[at]! - r) ** 2 + (data[at + 1]! - g) ** 2 + (data[at + 2]! - b) ** 2;

/** The colour of a frame's border, which is its background: the median of each channel. */
function backgroundOf({ width, height, data }: RgbImage): Rgb {
  const border: number[] = [];
  for (let x = 0; x < width; x++) border.push(x, (height - 1) * width + x);
  for (let y = 1; y < height - 1; y++) border.push(y * width, (y + 1) * width - 1);
  const median = (channel: number): number =>
    border.map((pixel) => data[3 * pixel + channel]!).sort((a, b) => a - b)[border.length >> 1]!;
  return [median(0), median(1), median(2)];
}

/**
 * What stands before a frame's plain background, or of it what is painted in one colour rather than in the others.
 *
 * @param color a name of `PAINT`; null: everything
 * @param others colours of things that are also there; default: all
 * @returns null if nothing is there
 */
export function find(
  image: RgbImage,
  color: string | null,
  others: readonly string[] = Object.keys(PAINT),
): Thing | null {
  const { width, height, data } = image;
  const background = backgroundOf(image);
  const rivals = others.filter((name) => name !== color).map((name) => PAINT[name]!);
  const pixels = new Uint8Array(width * height);
  let [count, x, y] = [0, 0, 0];
  for (let at = 0; at < pixels.length; at++) {
    if (distance(data, 3 * at, background) < APART) continue;
    if (color !== null) {
      const own = distance(data, 3 * at, PAINT[color]!);
      if (rivals.some((rival) => distance(data, 3 * at, rival) < own)) continue;
    }
    pixels[at] = 1;
    count++;
    x += (at % width) + 0.5;
    y += Math.floor(at / width) + 0.5;
  }
  if (count < LEAST * pixels.length) return null;
  return { pixels, count, x: x / count / width, y: y / count / height };
}

/** How much two things are of one form: intersection over union of their pixels, centre upon centre. */
export function likeness(one: Thing, two: Thing, { width, height }: RgbImage): number {
  const dx = Math.round((two.x - one.x) * width);
  const dy = Math.round((two.y - one.y) * height);
  let both = 0;
  for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
    for (let x = Math.max(0, -dx); x < Math.min(width, width - dx); x++) {
      if (one.pixels[y * width + x] && two.pixels[(y + dy) * width + x + dx]) both++;
    }
  }
  return both / (one.count + two.count - both);
}
