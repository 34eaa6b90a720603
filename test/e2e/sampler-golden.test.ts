import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Sampler } from "../../src/core/sampler.ts";
import { embeddedModelPath } from "../../src/models/model-folder.ts";
import { loadTokenizer } from "../../src/models/tokenizer.ts";
import { drawBits } from "../../src/samplers/infinity/draw.ts";
import { loadInfinity, openStageModel } from "../../src/samplers/infinity/sampler.ts";
import type { InfinityState } from "../../src/samplers/infinity/stage-graph.ts";

interface Golden {
  prompt: string;
  ids: number[];
  candidates: number;
  guidance: number;
  temperature: number;
  topP: number;
  keep: { afterScale: number; candidates: number[] };
  file: string;
  arrays: Record<string, { dtype: "float32" | "uint8"; shape: number[]; offset: number }>;
}

// Recorded from PyTorch by training/ttsvar/infinity/golden.py with the weights of the embedded generator.
const folder = new URL("../fixtures/golden/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("golden.json", folder), "utf8")) as Golden;
const bytes = readFileSync(new URL(golden.file, folder));

function recorded(name: string): Float32Array {
  const { dtype, shape, offset } = golden.arrays[name]!;
  const size = shape.reduce((product, dim) => product * dim, 1);
  const width = dtype === "float32" ? 4 : 1;
  const data = new Uint8Array(bytes.subarray(offset, offset + size * width));
  return dtype === "float32" ? new Float32Array(data.buffer) : Float32Array.from(data);
}

function rows(name: string): Float32Array[] {
  const data = recorded(name);
  const count = golden.arrays[name]!.shape[0]!;
  const stride = data.length / count;
  return Array.from({ length: count }, (_, row) => data.slice(row * stride, (row + 1) * stride));
}

function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let most = 0;
  for (let at = 0; at < found.length; at++) most = Math.max(most, Math.abs(found[at]! - expected[at]!));
  return most;
}

/** The recorded bits of one row by scale, following the recorded selection backwards. */
function bitsOf(finalRow: number, scales: number): Uint8Array[] {
  const { afterScale, candidates } = golden.keep;
  return Array.from({ length: scales }, (_, scale) => {
    const row = scale <= afterScale ? candidates[finalRow]! : finalRow;
    return Uint8Array.from(rows(`bits_${scale}`)[row]!);
  });
}

describe("embedded generator against PyTorch", () => {
  let dir: string;
  let sampler: Sampler;
  beforeAll(async () => {
    dir = await embeddedModelPath("generator");
    sampler = await loadInfinity(dir);
  }, 120_000);
  afterAll(async () => sampler?.[Symbol.asyncDispose]());

  it("tokenizes the prompt alike", async () => {
    expect((await loadTokenizer(dir)).encode(golden.prompt)).toEqual(golden.ids);
  });

  it("computes the same inputs, logits and codes for a batch that is pruned and duplicated on the way", async () => {
    const { model, code, close } = await openStageModel(dir);
    const request = {
      prompt: golden.prompt,
      seed: 0,
      ids: ["c0", "c1", "c2"],
      settings: sampler.defaults,
    };
    let state: InfinityState = await model.begin(request);
    let latents: (Float32Array | null)[] = new Array(golden.candidates).fill(null);
    for (const { index: scale } of sampler.scales) {
      const length = code.tokens(scale) * code.tokenChannels;
      const data = new Float32Array(latents.length * length);
      if (scale > 0) {
        latents.forEach((latent, row) => {
          code.input(latent!, scale, data.subarray(row * length, (row + 1) * length));
        });
        expect(worst(data, recorded(`z_${scale}`))).toBeLessThan(1e-5);
      }
      const z = scale > 0 ? { dims: [latents.length, code.tokens(scale), code.tokenChannels], data } : null;
      const output = await model.run(state, { stage: scale, width: latents.length, z, guided: true });
      state = output.state;
      const expected = recorded(`delta_${scale}`);
      // The first scale is computed once and shared; PyTorch recorded it for every candidate.
      const found = scale > 0 ? output.delta.data : repeatRows(output.delta.data, golden.candidates);
      expect(worst(found, expected)).toBeLessThan(1e-4);
      const bits = rows(`bits_${scale}`);
      latents = latents.map((latent, row) => code.add(latent, Uint8Array.from(bits[row]!), scale));
      if (scale === golden.keep.afterScale) {
        latents = golden.keep.candidates.map((row) => latents[row]!);
        state = model.select(state, golden.keep.candidates);
      }
    }
    rows("latent").forEach((expected, row) => {
      expect(worst(latents[row]!, expected)).toBeLessThan(1e-5);
    });
    await close();
  });

  it("decodes the same images", async () => {
    const settings = { ...sampler.defaults };
    for (const [row, expected] of rows("image").entries()) {
      const forcedBits = bitsOf(row, sampler.scales.length);
      const session = await sampler.start({
        prompt: golden.prompt,
        seed: 0,
        ids: ["c0"],
        settings,
        forcedBits,
      });
      while (session.stage < sampler.scales.length) await session.step();
      const [image] = await session.decode([0]);
      expect(worst(image!.data, expected)).toBeLessThanOrEqual(1);
    }
  });

  it("draws the recorded bits wherever the recorded logits leave no choice", () => {
    const { guidance, temperature, topP } = golden;
    const stream = { uniform: () => 0.5, normal: () => 0, fill: (out: Float64Array) => out.fill(0.5) };
    const certain = Math.log(topP / (1 - topP));
    for (const { index: scale } of sampler.scales) {
      const delta = recorded(`delta_${scale}`);
      const half = delta.length / 2;
      const [cond, uncond] = [delta.slice(0, half), delta.slice(half)];
      const { bits } = drawBits(cond, uncond, { guidance, temperature, topP }, stream);
      const expected = recorded(`bits_${scale}`);
      for (let at = 0; at < half; at++) {
        const logit = (guidance * cond[at]! + (1 - guidance) * uncond[at]!) / temperature;
        if (Math.abs(logit) > certain + 1e-3) expect(bits[at]).toBe(expected[at]);
      }
    }
  });
});

/** [2 groups, 1 row, ...] as [2 groups, count rows, ...]. */
function repeatRows(data: Float32Array, count: number): Float32Array {
  const stride = data.length / 2;
  const out = new Float32Array(data.length * count);
  for (let row = 0; row < 2 * count; row++) {
    const group = Math.floor(row / count);
    out.set(data.subarray(group * stride, (group + 1) * stride), row * stride);
  }
  return out;
}
