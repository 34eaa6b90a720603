import type { FeatureReduction, ImageFeatures } from "../core/features.ts";
import type { Tensor } from "../core/tensor.ts";
import { dot } from "../inference/vision/cosine.ts";
import { principalAxis } from "./principal-axis.ts";

/** Mean of an image's patch tokens: [images, channels]. */
export const pool: FeatureReduction = ({ patches }) => {
  const [images, count, channels] = shapeOf(patches);
  const data = new Float32Array(images * channels);
  for (let image = 0; image < images; image++) {
    for (let channel = 0; channel < channels; channel++) {
      let sum = 0;
      for (let patch = 0; patch < count; patch++) {
        sum += patches.data[(image * count + patch) * channels + channel]!;
      }
      data[image * channels + channel] = sum / count;
    }
  }
  return { dims: [images, channels], data };
};

/**
 * Summary token: [images, channels].
 *
 * @throws RangeError if the encoder has none
 */
export const cls: FeatureReduction = ({ summary }) => {
  if (!summary) throw new RangeError("this encoder has no summary token; choose another reduction");
  return summary;
};

/**
 * Each image's patch tokens projected on that image's own first principal axis: [images, patches]
 * (TTS-VAR section 3.2). An axis has no sign of its own, so near-identical images could get opposite vectors; here all
 * vectors point the way of the first image's (by dot product), whose entry of largest size is made positive.
 */
export const pca: FeatureReduction = (features) => {
  const projections = ownProjections(features);
  const [first] = projections;
  if (first) {
    orient(first, first[largestEntry(first)]!);
    for (const vector of projections.slice(1)) orient(vector, dot(vector, first));
  }
  return stack(projections);
};

/** `pca` as TTS-VAR publishes it, with whatever sign the axis has: [images, patches]. For comparisons only. */
export const pcaReference: FeatureReduction = (features) => stack(ownProjections(features));

/** Patch tokens projected on one first principal axis of all images' tokens together: [images, patches]. */
export const pcaShared: FeatureReduction = ({ patches }) => {
  const [images, count, channels] = shapeOf(patches);
  const all = patches.data;
  const { axis, mean } = principalAxis(all, images * count, channels);
  orient(axis, axis[largestEntry(axis)] ?? 1);
  const projections = Array.from({ length: images }, (_, image) =>
    project(all.subarray(image * count * channels, (image + 1) * count * channels), count, axis, mean),
  );
  return stack(projections);
};

/** All reductions by name (`--set features.reduction=...`). */
export const reductions: Readonly<Record<string, FeatureReduction>> = {
  pool,
  cls,
  pca,
  "pca-reference": pcaReference,
  "pca-shared": pcaShared,
};

function ownProjections({ patches }: ImageFeatures): Float64Array[] {
  const [images, count, channels] = shapeOf(patches);
  return Array.from({ length: images }, (_, image) => {
    const tokens = patches.data.subarray(image * count * channels, (image + 1) * count * channels);
    const { axis, mean } = principalAxis(tokens, count, channels);
    return project(tokens, count, axis, mean);
  });
}

function project(tokens: Float32Array, count: number, axis: Float64Array, mean: Float64Array): Float64Array {
  const channels = axis.length;
  return Float64Array.from({ length: count }, (_, patch) => {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) {
      sum += (tokens[patch * channels + channel]! - mean[channel]!) * axis[channel]!;
    }
    return sum;
  });
}

/** Turns a vector round in place if `sign` is negative. */
function orient(vector: Float64Array, sign: number): void {
  if (sign < 0) for (let index = 0; index < vector.length; index++) vector[index] = -vector[index]!;
}

function largestEntry(vector: Float64Array): number {
  let best = 0;
  for (let index = 1; index < vector.length; index++) {
    if (Math.abs(vector[index]!) > Math.abs(vector[best]!)) best = index;
  }
  return best;
}

function stack(rows: readonly Float64Array[]): Tensor {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    data.set(row, index * width);
  });
  return { dims: [rows.length, width], data };
}

function shapeOf(patches: Tensor): [images: number, count: number, channels: number] {
  const [images, count, channels] = patches.dims;
  if (images === undefined || count === undefined || channels === undefined) {
    throw new RangeError(
      `patch tokens must be [images, patches, channels], not [${patches.dims.join(", ")}]`,
    );
  }
  return [images, count, channels];
}
