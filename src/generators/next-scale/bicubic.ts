import type { Grid } from "./resize.ts";

/** PyTorch's constant of the cubic kernel. */
const A = -0.75;

/** For each output index: four input indices and their weights. */
interface Taps {
  readonly index: Int32Array;
  readonly weight: Float64Array;
}

const known = new Map<number, Taps>();

/** Weights of PyTorch's `interpolate(mode="bicubic")`: half-pixel centres, border repeated, no antialiasing. */
function taps(input: number, output: number): Taps {
  const key = input * 65536 + output;
  const before = known.get(key);
  if (before) return before;
  const index = new Int32Array(4 * output);
  const weight = new Float64Array(4 * output);
  for (let at = 0; at < output; at++) {
    const source = ((at + 0.5) * input) / output - 0.5;
    const low = Math.floor(source);
    const t = source - low;
    for (let tap = 0; tap < 4; tap++) {
      index[4 * at + tap] = Math.min(input - 1, Math.max(0, low - 1 + tap));
      weight[4 * at + tap] = kernel(Math.abs(t + 1 - tap));
    }
  }
  const made = { index, weight };
  known.set(key, made);
  return made;
}

function kernel(x: number): number {
  if (x <= 1) return ((A + 2) * x - (A + 3)) * x * x + 1;
  return ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;
}

/** Bicubic resize of [channels, from.h, from.w] to [channels, to.h, to.w], as PyTorch does it; always a new array. */
export function resizeBicubic(data: Float32Array, channels: number, from: Grid, to: Grid): Float32Array {
  if (from.h === to.h && from.w === to.w) return data.slice();
  const rows = taps(from.h, to.h);
  const columns = taps(from.w, to.w);
  const wide = new Float64Array(from.h * to.w);
  const out = new Float32Array(channels * to.h * to.w);
  for (let channel = 0; channel < channels; channel++) {
    const base = channel * from.h * from.w;
    for (let y = 0; y < from.h; y++) {
      for (let x = 0; x < to.w; x++) {
        let sum = 0;
        for (let tap = 4 * x; tap < 4 * x + 4; tap++) {
          sum += columns.weight[tap]! * data[base + y * from.w + columns.index[tap]!]!;
        }
        wide[y * to.w + x] = sum;
      }
    }
    for (let y = 0; y < to.h; y++) {
      for (let x = 0; x < to.w; x++) {
        let sum = 0;
        for (let tap = 4 * y; tap < 4 * y + 4; tap++) {
          sum += rows.weight[tap]! * wide[rows.index[tap]! * to.w + x]!;
        }
        out[(channel * to.h + y) * to.w + x] = sum;
      }
    }
  }
  return out;
}
