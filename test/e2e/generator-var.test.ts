import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { ResidualCode } from "../../src/generators/next-scale/residual-code.ts";
import { varDefinition } from "../../src/generators/next-scale/var/definition.ts";
import { loadVar, type OpenVar, openVar } from "../../src/generators/next-scale/var/open.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// A folder that the exporter wrote, with random weights, and what PyTorch computes: training/ttsvar/var/tiny.py.
const dir = fileURLToPath(new URL("../fixtures/models/var-tiny", import.meta.url));
const golden = JSON.parse(
  readFileSync(new URL("../fixtures/models/var-tiny.golden.json", import.meta.url), "utf8"),
) as Record<"tokens" | "logits" | "inputs" | "codes" | "encoded", number[][]> & {
  label: number;
  image: number[];
  latent: number[];
};

describeSampler("VAR, tiny", () => varDefinition(dir).open({}, { inProcess: true, threads: 1 }), {
  prompts: ["a photo of a dog", "red car"],
  otherSettings: { guidance: 6 },
});

function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  return Array.from(actual).reduce((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
}

describe("VAR, tiny, against PyTorch", () => {
  let open: OpenVar;
  let generator: Generator;
  beforeAll(async () => {
    open = await openVar(dir, {}, { threads: 1 });
    generator = await loadVar(dir, {}, { threads: 1 });
  }, 120_000);
  afterAll(async () => {
    await open.close();
    await generator[Symbol.asyncDispose]();
  });

  it("computes the same inputs, logits and codes with forced tokens", async () => {
    const code = new ResidualCode(open.layout);
    let state = await open.network.begin({ prompt: "red car", seed: 0, label: golden.label });
    let sum: Float32Array | null = null;
    for (const [stage, tokens] of golden.tokens.entries()) {
      const z = new Float32Array(code.tokens(stage) * code.tokenChannels);
      if (sum) code.input(sum, stage, z);
      if (stage > 0) expect(worst(z, golden.inputs[stage]!)).toBeLessThan(1e-5);
      const input = stage === 0 ? null : { dims: [1, code.tokens(stage), code.tokenChannels], data: z };
      const output = await open.network.run(state, { stage, width: 1, z: input, guided: true });
      expect(worst(output.delta.data, golden.logits[stage]!)).toBeLessThan(1e-4);
      sum = code.add(sum, Int32Array.from(tokens), stage);
      expect(worst(sum, golden.codes[stage]!)).toBeLessThan(1e-5);
      state = output.state;
    }
  });

  it("draws the same image from kept tokens, and finds the same tokens in a latent", async () => {
    const keep = golden.tokens.map((tokens) => ({ count: tokens.length, data: Int32Array.from(tokens) }));
    const session = await generator.start({ prompt: "red car", seed: 0, keep }, ["c0"]);
    while (session.stage < 4) await session.step();
    const [picture] = await session.view([0], FULL_VIEW);
    const [{ width, height, data }] = picture!.frames;
    const planes = Float32Array.from(data, (_, at) => {
      const [channel, pixel] = [Math.floor(at / (width * height)), at % (width * height)];
      return data[pixel * 3 + channel]!;
    });
    expect(worst(planes, golden.image)).toBeLessThanOrEqual(1);
    const code = new ResidualCode(open.layout);
    let sum: Float32Array | null = null;
    for (const [stage, tokens] of golden.encoded.entries()) {
      const found = code.towards(Float32Array.from(golden.latent), sum, stage);
      expect([...found]).toEqual(tokens);
      sum = code.add(sum, found, stage);
    }
  });

  it("takes a class by name or by number, and suggests a name for a wrong one", async () => {
    const first = async (task: { prompt: string; label?: number }) => {
      const session = await generator.start({ seed: 1, ...task }, ["c0"]);
      return (await session.step()).values["entropy"]![0];
    };
    expect(await first({ prompt: "cat" })).toBe(await first({ prompt: "a photo of a cat" }));
    expect(await first({ prompt: "cat", label: 0 })).toBe(await first({ prompt: "dog" }));
    await expect(generator.start({ prompt: "a photo of a trafic light", seed: 0 }, ["c0"])).rejects.toThrow(
      /did you mean "traffic light"/,
    );
    await expect(generator.start({ prompt: "x", seed: 0, label: 4 }, ["c0"])).rejects.toThrow(
      /classes 0 to 3/,
    );
  });

  it("raises guidance from 0 to the setting, and blends entries with moreSmooth", async () => {
    const smooth = await generator.withSettings!({ guidance: 3, moreSmooth: true });
    expect(smooth.traits.settings).toMatchObject({ guidance: [0, 1, 2, 3], moreSmooth: true });
    const tokens: string[] = [];
    const pixels: string[] = [];
    for (const each of [smooth, await generator.withSettings!({ guidance: 3 })]) {
      const session = await each.start({ prompt: "dog", seed: 3 }, ["c0"]);
      await session.step();
      const [drawn] = await session.tokens([0], 0);
      tokens.push(String(drawn!.data));
      const [picture] = await session.view([0], FULL_VIEW);
      pixels.push(Buffer.from(picture!.frames[0].data).toString("hex"));
    }
    expect(tokens[0]).toBe(tokens[1]);
    expect(pixels[0]).not.toBe(pixels[1]);
  });
});
