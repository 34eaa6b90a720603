import { dot } from "../inference/vision/cosine.ts";

const ITERATIONS = 200;
const TOLERANCE = 1e-12;

/**
 * Direction of largest variance of `count` rows of `channels` values, and their mean. Power iteration on the covariance
 * matrix from a fixed start, so equal rows always give the equal axis; its sign carries no meaning. Rows without any
 * variance give the axis 0.
 */
export function principalAxis(
  rows: Float32Array,
  count: number,
  channels: number,
): { axis: Float64Array; mean: Float64Array } {
  const mean = new Float64Array(channels);
  for (let index = 0; index < count * channels; index++) mean[index % channels]! += rows[index]!;
  // Dividing last keeps the mean of equal values exact.
  for (let channel = 0; channel < channels; channel++) mean[channel]! /= count;
  const centred = new Float64Array(count * channels);
  for (let index = 0; index < centred.length; index++) {
    centred[index] = rows[index]! - mean[index % channels]!;
  }
  let axis = startAxis(centred, count, channels);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const next = new Float64Array(channels);
    for (let row = 0; row < count; row++) {
      const values = centred.subarray(row * channels, (row + 1) * channels);
      const weight = dot(values, axis);
      for (let channel = 0; channel < channels; channel++) next[channel]! += weight * values[channel]!;
    }
    const length = Math.sqrt(dot(next, next));
    if (length === 0) return { axis: new Float64Array(channels), mean };
    for (let channel = 0; channel < channels; channel++) next[channel]! /= length;
    const turned = 1 - Math.abs(dot(next, axis));
    axis = next;
    if (turned < TOLERANCE) break;
  }
  return { axis, mean };
}

/** The longest centred row: never orthogonal to all of the variance, unlike a constant start. */
function startAxis(centred: Float64Array, count: number, channels: number): Float64Array {
  let best = new Float64Array(channels);
  let longest = 0;
  for (let row = 0; row < count; row++) {
    const values = centred.slice(row * channels, (row + 1) * channels);
    const length = Math.sqrt(dot(values, values));
    if (length <= longest) continue;
    longest = length;
    best = values.map((value) => value / length);
  }
  return best;
}
