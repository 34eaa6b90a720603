import type { Tensor } from "../../core/tensor.ts";
import type { Schedule } from "./infinity/manifest.ts";

/** Cosines and sines of the rotary position embedding of one scale, each [tokens, headDim / 2]. */
export interface RopeTable {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Two-dimensional rotary embedding of one scale (Infinity, `rope2d_normalized_by_hw=2`): the first half of the channel
 * pairs turns with the row, the second with the column, at positions that the manifest gives as integers. Arithmetic is
 * rounded to float32 at each step, as in PyTorch.
 *
 * @param headDim channels per attention head, divisible by 4
 */
export function ropeTable(schedule: Schedule, scale: number, headDim: number): RopeTable {
  const rows = schedule.rope.y[scale]!;
  const columns = schedule.rope.x[scale]!;
  const half = headDim / 2;
  const count = half / 2;
  const frequencies = Array.from({ length: count }, (_, index) => {
    const exponent = Math.fround((2 * index) / half);
    return Math.fround(1 / Math.fround(10000 ** exponent));
  });
  const cos = new Float32Array(rows.length * columns.length * half);
  const sin = new Float32Array(cos.length);
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      for (const position of [y, x]) {
        for (const frequency of frequencies) {
          const angle = Math.fround(position * frequency);
          cos[at] = Math.cos(angle);
          sin[at] = Math.sin(angle);
          at++;
        }
      }
    }
  }
  const dims = [rows.length * columns.length, half];
  return { cos: { dims, data: cos }, sin: { dims, data: sin } };
}
