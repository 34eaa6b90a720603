import type { RgbImage } from "../src/index.ts"; // outside this repository: "tts-var"

/** Mean colour of each quarter of the image: twelve numbers. */
export default (images: readonly RgbImage[]) =>
  images.map((image) => quarters.flatMap((quarter) => mean(image, quarter)));

const quarters = [0, 1].flatMap((row) => [0, 1].map((column) => [row, column] as const));

function mean({ data, width, height }: RgbImage, [row, column]: readonly [number, number]): number[] {
  const sums = [0, 0, 0];
  const [rows, columns] = [height >> 1, width >> 1];
  for (let y = row * rows; y < (row + 1) * rows; y++) {
    for (let x = column * columns; x < (column + 1) * columns; x++) {
      for (let c = 0; c < 3; c++) sums[c]! += data[(y * width + x) * 3 + c]!;
    }
  }
  return sums.map((sum) => sum / (rows * columns));
}
