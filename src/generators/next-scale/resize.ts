/** A grid of latent cells or tokens. */
export interface Grid {
  readonly h: number;
  readonly w: number;
}

/** For each output index: the two input indices and the weight of the second one. */
interface Axis {
  readonly low: Int32Array;
  readonly high: Int32Array;
  readonly weight: Float64Array;
}

const axes = new Map<number, Axis>();

/** Weights of `align_corners=False` without antialiasing, as PyTorch's `interpolate`; remembered per pair of sizes. */
function bilinearAxis(input: number, output: number): Axis {
  const key = input * 65536 + output;
  const known = axes.get(key);
  if (known) return known;
  const axis = {
    low: new Int32Array(output),
    high: new Int32Array(output),
    weight: new Float64Array(output),
  };
  const ratio = Math.fround(input / output);
  for (let index = 0; index < output; index++) {
    const source = Math.max(0, Math.fround(Math.fround(ratio * (index + 0.5)) - 0.5));
    const low = Math.min(Math.floor(source), input - 1);
    axis.low[index] = low;
    axis.high[index] = Math.min(low + 1, input - 1);
    axis.weight[index] = source - low;
  }
  axes.set(key, axis);
  return axis;
}

/**
 * Bilinear resize of [channels, from.h, from.w] to [channels, to.h, to.w], also downwards without antialiasing.
 * The result is always a new array.
 */
export function resizeBilinear(data: Float32Array, channels: number, from: Grid, to: Grid): Float32Array {
  if (from.h === to.h && from.w === to.w) return data.slice();
  const rows = bilinearAxis(from.h, to.h);
  const columns = bilinearAxis(from.w, to.w);
  const out = new Float32Array(channels * to.h * to.w);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const base = channel * from.h * from.w;
    for (let y = 0; y < to.h; y++) {
      const top = base + rows.low[y]! * from.w;
      const bottom = base + rows.high[y]! * from.w;
      const down = rows.weight[y]!;
      for (let x = 0; x < to.w; x++) {
        const left = columns.low[x]!;
        const right = columns.high[x]!;
        const across = columns.weight[x]!;
        const upper = data[top + left]! * (1 - across) + data[top + right]! * across;
        const lower = data[bottom + left]! * (1 - across) + data[bottom + right]! * across;
        out[at++] = upper * (1 - down) + lower * down;
      }
    }
  }
  return out;
}

/** Area-average of [channels, from.h, from.w] to a smaller grid (PyTorch's adaptive average pooling). */
export function reduceArea(data: Float32Array, channels: number, from: Grid, to: Grid): Float32Array {
  if (from.h === to.h && from.w === to.w) return data;
  const out = new Float32Array(channels * to.h * to.w);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const base = channel * from.h * from.w;
    for (let y = 0; y < to.h; y++) {
      const top = Math.floor((y * from.h) / to.h);
      const bottom = Math.ceil(((y + 1) * from.h) / to.h);
      for (let x = 0; x < to.w; x++) {
        const left = Math.floor((x * from.w) / to.w);
        const right = Math.ceil(((x + 1) * from.w) / to.w);
        let sum = 0;
        for (let row = top; row < bottom; row++) {
          for (let column = left; column < right; column++) sum += data[base + row * from.w + column]!;
        }
        out[at++] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return out;
}
