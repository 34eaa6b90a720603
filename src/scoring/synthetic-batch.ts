import type { RgbImage } from "../core/image.ts";
import type { RewardItem } from "../core/reward.ts";

const size = 64;

/** Five images that differ in colour, brightness and structure. */
export function syntheticBatch(prompt: string): RewardItem[] {
  const painters: Readonly<Record<string, (x: number, y: number) => readonly [number, number, number]>> = {
    grey: () => [128, 128, 128],
    "red-square": (x, y) =>
      Math.max(Math.abs(x - 32), Math.abs(y - 32)) < 16 ? [216, 30, 36] : [248, 248, 248],
    "blue-disk": (x, y) => ((x - 20) ** 2 + (y - 32) ** 2 < 196 ? [32, 92, 220] : [240, 236, 228]),
    gradient: (x, y) => [x * 4, y * 4, 128],
    stripes: (x) => (x % 8 < 4 ? [20, 20, 20] : [252, 216, 40]),
  };
  return Object.entries(painters).map(([id, paint]) => ({
    id,
    prompt,
    metadata: {},
    image: paintImage(paint),
  }));
}

function paintImage(paint: (x: number, y: number) => readonly [number, number, number]): RgbImage {
  const data = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) data.set(paint(x, y), (y * size + x) * 3);
  return { width: size, height: size, data };
}
