import type { GridFile } from "../core/benchmark.ts";
import type { RgbImage } from "../core/image.ts";

/** All samples of a prompt in one picture on white. Images may differ in size. */
export function gridOf(
  images: readonly RgbImage[],
  { columns, gap }: Pick<GridFile, "columns" | "gap">,
): RgbImage {
  const cellWidth = Math.max(...images.map(({ width }) => width));
  const cellHeight = Math.max(...images.map(({ height }) => height));
  const across = Math.min(columns, images.length);
  const down = Math.ceil(images.length / columns);
  const width = across * (cellWidth + gap) + gap;
  const height = down * (cellHeight + gap) + gap;
  const data = new Uint8Array(width * height * 3).fill(255);
  images.forEach((image, index) => {
    const left = (index % columns) * (cellWidth + gap) + gap;
    const top = Math.floor(index / columns) * (cellHeight + gap) + gap;
    for (let y = 0; y < image.height; y++) {
      const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
      data.set(row, ((top + y) * width + left) * 3);
    }
  });
  return { width, height, data };
}
