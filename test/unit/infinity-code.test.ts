import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BitCode } from "../../src/generators/next-scale/bit-code.ts";
import { quantise } from "../../src/generators/next-scale/encode.ts";
import { reduceArea } from "../../src/generators/next-scale/resize.ts";
import { ropeTable } from "../../src/generators/next-scale/rope.ts";

interface Vectors {
  code: {
    grids: [number, number][];
    channels: number;
    patchify: boolean;
    magnitude: number[][];
    scales: { bits: number[]; z: number[] | null; latent: number[] }[];
  }[];
  rope: { y: number[]; x: number[]; headDim: number; cos: number[]; sin: number[] }[];
  area: {
    from: [number, number];
    channels: number;
    data: number[];
    to: { size: [number, number]; data: number[] }[];
  };
  encode: {
    grids: [number, number][];
    channels: number;
    patchify: boolean;
    magnitude: number[][];
    latent: number[];
    bits: number[][];
  }[];
}

// Computed by PyTorch: test/fixtures/infinity/make_vectors.py
const vectors = JSON.parse(
  readFileSync(new URL("../fixtures/infinity/vectors.json", import.meta.url), "utf8"),
) as Vectors;

function expectClose(found: ArrayLike<number>, expected: readonly number[], tolerance = 1e-6): void {
  expect(found.length).toBe(expected.length);
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - found[index]!)), 0);
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe("cumulative code", () => {
  for (const { grids, channels, patchify, magnitude, scales } of vectors.code) {
    it(`equals PyTorch's at ${grids.map((grid) => grid.join("x")).join(" ")}${patchify ? ", patchified" : ""}`, () => {
      const code = new BitCode({ scales: grids, channels, patchify, magnitude });
      let latent: Float32Array | null = null;
      scales.forEach(({ bits, z, latent: expected }, scale) => {
        if (z && latent) {
          const input = new Float32Array(code.tokens(scale) * code.tokenChannels);
          code.input(latent, scale, input);
          expectClose(input, z);
        }
        latent = code.add(latent, Uint8Array.from(bits), scale);
        expectClose(latent, expected);
      });
    });
  }

  it("leaves the code before untouched, so that candidates can share it", () => {
    const code = new BitCode({
      scales: [
        [1, 1],
        [2, 2],
      ],
      channels: 1,
      patchify: false,
      magnitude: [[1], [1]],
    });
    const first = code.add(null, Uint8Array.of(1), 0);
    const second = code.add(first, Uint8Array.of(1, 0, 1, 0), 1);
    expect([...first]).toEqual([1, 1, 1, 1]);
    expect([...second]).toEqual([2, 0, 2, 0]);
  });
});

describe("quantisation of a latent", () => {
  for (const { grids, channels, patchify, magnitude, latent, bits } of vectors.encode) {
    it(`gives PyTorch's bits at ${grids.map((grid) => grid.join("x")).join(" ")}${patchify ? ", patchified" : ""}`, () => {
      const code = new BitCode({ scales: grids, channels, patchify, magnitude });
      const input = Float32Array.from(latent);
      expect(quantise(code, input).map((scale) => [...scale])).toEqual(bits);
      expectClose(input, latent);
    });
  }

  it("clears the bit of an exact zero", () => {
    const scales: [number, number][] = [
      [1, 1],
      [1, 2],
    ];
    const code = new BitCode({ scales, channels: 1, patchify: false, magnitude: [[0.5], [0.25]] });
    expect(quantise(code, Float32Array.of(-1, 1)).map((scale) => [...scale])).toEqual([[0], [0, 1]]);
  });
});

describe("area reduction", () => {
  const { from, channels, data, to } = vectors.area;
  for (const { size, data: expected } of to) {
    it(`equals PyTorch's adaptive average pooling to ${size.join("x")}`, () => {
      const [h, w] = from;
      const [toH, toW] = size;
      expectClose(reduceArea(Float32Array.from(data), channels, { h, w }, { h: toH, w: toW }), expected);
    });
  }
});

describe("rotary table", () => {
  for (const { y, x, headDim, cos, sin } of vectors.rope) {
    it(`equals PyTorch's at ${y.length}x${x.length} with ${headDim} channels`, () => {
      const schedule = {
        id: "",
        ratio: 1,
        scales: [[y.length, x.length] as [number, number]],
        rope: { y: [y], x: [x] },
      };
      const table = ropeTable(schedule, 0, headDim);
      expect(table.cos.dims).toEqual([y.length * x.length, headDim / 2]);
      expectClose(table.cos.data, cos);
      expectClose(table.sin.data, sin);
    });
  }
});
