import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { framesHash } from "../../src/core/image.ts";
import type { Tensor } from "../../src/core/tensor.ts";
import { posterior } from "../../src/generators/discrete-diffusion/schedule.ts";
import { generatorOfFolder } from "../../src/generators/index.ts";
import { openOrtSession } from "../../src/inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// Folders with random weights that the exporters wrote: training/ttsvar/discrete_diffusion/export.py.
const models = new URL("../fixtures/models/canvas-tiny/", import.meta.url);
const folder = (name: string) => fileURLToPath(new URL(name, models));
const prompts = ["a photo of a dog", "a photo of two red cars"] as const;
const here = { inProcess: true, threads: 1 };

describeSampler(
  "discrete diffusion",
  async () => (await generatorOfFolder(folder("vq-ddm"))).open({}, here),
  {
    prompts,
    otherSettings: { temperature: 2 },
  },
);

interface Recorded {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

describe("discrete diffusion against PyTorch", () => {
  const golden = JSON.parse(readFileSync(new URL("vq-ddm/golden.json", models), "utf8")) as {
    readonly prompt: string;
    readonly ids: readonly number[];
    readonly time: number;
    readonly target: number;
  } & Record<"codes" | "text" | "none" | "clean" | "posterior" | "latent", Recorded>;
  const worst = (found: ArrayLike<number>, expected: readonly number[]): number =>
    expected.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at]!)), 0);

  it("computes the recorded logits and draws from the recorded posterior", async () => {
    const tokenizer = await loadTokenizer(folder("vq-ddm"), 32);
    const ids = tokenizer.encode(golden.prompt);
    expect(ids).toEqual(golden.ids);
    const [prompt, step] = await Promise.all(
      ["prompt", "step"].map((name) => openOrtSession(folder(`vq-ddm/${name}.onnx`), { threads: 1 })),
    );
    const both = await prompt!.run({
      input_ids: { dims: [1, ids.length], data: BigInt64Array.from(ids, BigInt) },
    });
    for (const [group, expected] of [golden.text, golden.none].entries()) {
      const own: Record<string, Tensor> = {};
      for (const [name, { dims, data }] of Object.entries(both)) {
        const half = data.length / 2;
        own[name] = { dims: [1, ...dims.slice(1)], data: data.slice(group * half, (group + 1) * half) };
      }
      const { logits } = await step!.run({
        codes: { dims: [2, 64], data: BigInt64Array.from(golden.codes.values, BigInt) },
        time: { dims: [1], data: Float32Array.of(golden.time) },
        ...own,
      });
      expect(worst(logits!.data, expected.values)).toBeLessThan(1e-4);
    }
    await Promise.all([prompt, step].map((graph) => graph![Symbol.asyncDispose]()));
    const [tokens, entries] = golden.clean.shape as [number, number];
    for (let token = 0; token < tokens; token++) {
      const at = [token * entries, (token + 1) * entries] as const;
      const out = new Float64Array(entries);
      const clean = Float64Array.from(golden.clean.values.slice(...at));
      posterior(clean, golden.codes.values[token]!, golden.time, golden.target, out);
      expect(worst(out, golden.posterior.values.slice(...at))).toBeLessThan(1e-12);
    }
  });
});

describe("discrete diffusion's moves", () => {
  it("repairs a share of the way, in a worker as here", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const draw = async (host: Parameters<typeof definition.open>[1]) => {
      const generator = await definition.open({ settings: { steps: 3 } }, host);
      const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0"]);
      while (session.stage < 3) await session.step();
      await session.refine!(0.5, ["c0.1"]);
      const [picture] = await session.view([0], FULL_VIEW);
      await generator[Symbol.asyncDispose]();
      return framesHash(picture!.frames);
    };
    expect(await draw({ threads: 1 })).toBe(await draw(here));
  });

  it("draws a region anew and keeps the rest of a source (inpainting)", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const generator = await definition.open({ settings: { region: [0, 0, 0.5, 1] } }, here);
    const { width, height } = generator.traits.shape;
    const data = Uint8Array.from({ length: 3 * width * height }, (_, at) => (at * 7) % 251);
    const source = { width, height, data };
    const session = await generator.start({ prompt: prompts[0], seed: 1, source }, ["c0", "c1"]);
    while (session.stage < generator.traits.stages.length) await session.step();
    const [first, second] = await session.tokens([0, 1], session.stage - 1);
    const half = (side: number, values: ArrayLike<number>): number[] =>
      Array.from(values).filter((_, at) => Math.floor((at % 8) / 4) === side);
    expect(half(1, first!.data)).toEqual(half(1, second!.data));
    expect(half(0, first!.data)).not.toEqual(half(0, second!.data));
    await generator[Symbol.asyncDispose]();
  });

  it("refuses settings that it does not have", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const describe = (settings: unknown) => definition.describe({ settings });
    await expect(describe({ region: [0.5, 0, 0.5, 1] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(describe({ step: 3 })).rejects.toThrow(/did you mean "steps"/);
    expect((await describe({ steps: 5, guidance: 1 })).stages).toHaveLength(5);
  });
});
