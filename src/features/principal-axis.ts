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
  for (let row = 0, index = 0; row < count; row++) {
    for (let channel = 0; channel < channels; channel++) mean[channel]! += rows[index++]!;
  }
  // Dividing last keeps the mean of equal values exact.
  for (let channel = 0; channel < channels; channel++) mean[channel]! /= count;
  const centred = new Float64Array(count * channels);
  for (let row = 0, index = 0; row < count; row++) {
    for (let channel = 0; channel < channels; channel++, index++) {
      centred[index] = rows[index]! - mean[channel]!;
    }
  }
  let axis = startAxis(centred, count, channels);
  const weights = new Float64Array(count);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    products(centred, axis, weights);
    const next = weightedSum(centred, weights, channels);
    const length = Math.sqrt(dot(next, next));
    if (length === 0) return { axis: new Float64Array(channels), mean };
    for (let channel = 0; channel < channels; channel++) next[channel]! /= length;
    const turned = 1 - Math.abs(dot(next, axis));
    axis = next;
    if (turned < TOLERANCE) break;
  }
  return { axis, mean };
}

/** Dot product of every row with `axis`. Four sums at a time, each in its own order: one alone waits for its last addition. */
function products(rows: Float64Array, axis: Float64Array, into: Float64Array): void {
  const { length: channels } = axis;
  let row = 0;
  for (; row + 4 <= into.length; row += 4) {
    let [a, b, c, d] = [0, 0, 0, 0];
    const [first, second] = [row * channels, (row + 1) * channels];
    const [third, fourth] = [second + channels, second + 2 * channels];
    for (let channel = 0; channel < channels; channel++) {
      const along = axis[channel]!;
      a += rows[first + channel]! * along;
      b += rows[second + channel]! * along;
      c += rows[third + channel]! * along;
      d += rows[fourth + channel]! * along;
    }
    into[row] = a;
    into[row + 1] = b;
    into[row + 2] = c;
    into[row + 3] = d;
  }
  for (; row < into.length; row++) {
    into[row] = dot(rows.subarray(row * channels, (row + 1) * channels), axis);
  }
}

/** Sum of all rows by weight, added in their order. */
function weightedSum(rows: Float64Array, weights: Float64Array, channels: number): Float64Array {
  const sum = new Float64Array(channels);
  let row = 0;
  for (; row + 4 <= weights.length; row += 4) {
    const [p, q, r, s] = [weights[row]!, weights[row + 1]!, weights[row + 2]!, weights[row + 3]!];
    const start = row * channels;
    for (let channel = 0; channel < channels; channel++) {
      const at = start + channel;
      let total = sum[channel]!;
      total += p * rows[at]!;
      total += q * rows[at + channels]!;
      total += r * rows[at + 2 * channels]!;
      sum[channel] = total + s * rows[at + 3 * channels]!;
    }
  }
  for (; row < weights.length; row++) {
    const weight = weights[row]!;
    const start = row * channels;
    for (let channel = 0; channel < channels; channel++) sum[channel]! += weight * rows[start + channel]!;
  }
  return sum;
}

/** The longest centred row: never orthogonal to all of the variance, unlike a constant start. */
function startAxis(centred: Float64Array, count: number, channels: number): Float64Array {
  let best = -1;
  let longest = 0;
  for (let row = 0; row < count; row++) {
    let square = 0;
    for (let at = row * channels; at < (row + 1) * channels; at++) square += centred[at]! * centred[at]!;
    const length = Math.sqrt(square);
    if (length > longest) [best, longest] = [row, length];
  }
  if (best < 0) return new Float64Array(channels);
  return centred.slice(best * channels, (best + 1) * channels).map((value) => value / longest);
}
