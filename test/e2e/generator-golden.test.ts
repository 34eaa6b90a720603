import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { drawBits } from "../../src/generators/next-scale/draw-bits.ts";
import { loadInfinity, openNetwork } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import {
  expectGolden,
  type GoldenCase,
  type Recording,
  reader,
  rowsOf,
  tokensOf,
  worst,
} from "./support/golden.ts";

interface Golden extends GoldenCase, Recording {
  ids: number[];
  guidance: number;
  temperature: number;
  topP: number;
}

// Recorded from PyTorch by training/ttsvar/infinity/golden.py with the weights of the embedded generator.
const folder = new URL("../fixtures/golden/", import.meta.url);
const golden = JSON.parse(readFileSync(new URL("golden.json", folder), "utf8")) as Golden;
const recorded = reader(folder, golden);

describe("embedded generator against PyTorch", () => {
  let dir: string;
  let generator: Generator;
  beforeAll(async () => {
    dir = await embeddedModelPath("generator");
    generator = await loadInfinity(dir);
  }, 120_000);
  afterAll(async () => generator?.[Symbol.asyncDispose]());

  it("tokenizes the prompt alike", async () => {
    expect((await loadTokenizer(dir)).encode(golden.prompt)).toEqual(golden.ids);
  });

  it("computes the same inputs, logits and codes for a batch that is pruned and duplicated on the way", async () => {
    const open = await openNetwork(dir);
    await expectGolden(open, golden, recorded, { delta: 1e-4, code: 1e-5 });
    await open.close();
  });

  it("decodes the same images", async () => {
    for (const [row, expected] of rowsOf(recorded("image"), golden.keep.candidates.length).entries()) {
      const { traits } = generator;
      const keep = tokensOf(recorded, golden, row, traits);
      const session = await generator.start({ prompt: golden.prompt, seed: 0, keep }, ["c0"]);
      while (session.stage < traits.stages.length) await session.step();
      const [picture] = await session.view([0], FULL_VIEW);
      expect(worst(picture!.frames[0].data, expected)).toBeLessThanOrEqual(1);
    }
  });

  it("draws the recorded bits wherever the recorded logits leave no choice", () => {
    const { guidance, temperature, topP } = golden;
    const stream = { uniform: () => 0.5, normal: () => 0, fill: (out: Float64Array) => out.fill(0.5) };
    const certain = Math.log(topP / (1 - topP));
    for (const { index: scale } of generator.traits.stages) {
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
