import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ImageFeatures } from "../../src/core/features.ts";
import { rowOf } from "../../src/core/tensor.ts";
import { cls, pca, pcaReference, pcaShared, pool } from "../../src/features/reduce.ts";

const patches = 6;
const channels = 4;

function featuresOf(images: readonly (readonly number[])[]): ImageFeatures {
  return {
    patches: { dims: [images.length, patches, channels], data: Float32Array.from(images.flat()) },
    summary: { dims: [images.length, 1], data: Float32Array.from(images, (image) => image[0]!) },
  };
}

const value = fc.integer({ min: -50, max: 50 });
const image = fc.array(value, { minLength: patches * channels, maxLength: patches * channels });
const batch = fc.array(image, { minLength: 1, maxLength: 4 });

/** Variance of an image's patches along a direction. */
function spread(tokens: readonly number[], axis: readonly number[]): number {
  const along = Array.from({ length: patches }, (_, patch) =>
    axis.reduce((sum, weight, channel) => sum + weight * tokens[patch * channels + channel]!, 0),
  );
  const mean = along.reduce((sum, entry) => sum + entry, 0) / patches;
  return along.reduce((sum, entry) => sum + (entry - mean) ** 2, 0);
}

describe("pca", () => {
  it("captures at least the variance of any single channel", () => {
    fc.assert(
      fc.property(image, (tokens) => {
        const vector = rowOf(pca(featuresOf([tokens])), 0);
        const captured = vector.reduce((sum, entry) => sum + entry ** 2, 0);
        for (let channel = 0; channel < channels; channel++) {
          const axis = Array.from({ length: channels }, (_, index) => (index === channel ? 1 : 0));
          expect(captured).toBeGreaterThanOrEqual(spread(tokens, axis) * (1 - 1e-4));
        }
      }),
    );
  });

  it("gives equal images equal vectors, wherever they stand", () => {
    fc.assert(
      fc.property(batch, image, (others, tokens) => {
        const { data, dims } = pca(featuresOf([tokens, ...others, tokens]));
        const width = dims[1]!;
        expect([...data.slice(-width)]).toEqual([...data.slice(0, width)]);
      }),
    );
  });

  it("does not care for the sign of an image's axis: mirrored tokens point the same way", () => {
    fc.assert(
      fc.property(image, (tokens) => {
        const vectors = pca(featuresOf([tokens, tokens.map((entry) => -entry)]));
        const [one, other] = [rowOf(vectors, 0), rowOf(vectors, 1)];
        expect(one.reduce((sum, entry, at) => sum + entry * other[at]!, 0)).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it("makes the first vector's largest entry positive", () => {
    fc.assert(
      fc.property(batch, (images) => {
        const first = rowOf(pca(featuresOf(images)), 0);
        const largest = first.reduce((most, entry) => (Math.abs(entry) > Math.abs(most) ? entry : most), 0);
        expect(largest).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it("differs from the published form by signs only", () => {
    fc.assert(
      fc.property(batch, (images) => {
        const aligned = pca(featuresOf(images)).data;
        const published = pcaReference(featuresOf(images)).data;
        expect(Array.from(aligned, Math.abs)).toEqual(Array.from(published, Math.abs));
      }),
    );
  });
});

describe("other reductions", () => {
  it("pool averages patches", () => {
    const tokens = Array.from({ length: patches * channels }, (_, index) => index);
    expect([...pool(featuresOf([tokens])).data]).toEqual([10, 11, 12, 13]);
  });

  it("cls is the summary token, and an error without one", () => {
    const given = featuresOf([new Array(patches * channels).fill(3)]);
    expect([...cls(given).data]).toEqual([3]);
    expect(() => cls({ ...given, summary: null })).toThrow(/no summary token/);
  });

  it("pca-shared keeps the distance along the common axis", () => {
    const flat = (level: number) =>
      Array.from({ length: patches * channels }, (_, index) => (index % channels === 0 ? level : 0));
    const { data, dims } = pcaShared(featuresOf([flat(0), flat(1), flat(4)]));
    expect(dims).toEqual([3, patches]);
    const first = [0, 1, 2].map((row) => data[row * patches]!);
    expect(first[1]! - first[0]!).toBeCloseTo(1, 5);
    expect(first[2]! - first[1]!).toBeCloseTo(3, 5);
  });

  it("survives tokens without any variance", () => {
    const still = featuresOf([new Array(patches * channels).fill(2)]);
    for (const reduce of [pca, pcaReference, pcaShared]) {
      expect([...reduce(still).data].every((entry) => entry === 0)).toBe(true);
    }
  });
});
