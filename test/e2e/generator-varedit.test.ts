import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { openNetwork } from "../../src/generators/next-scale/infinity/open.ts";
import { EditNetwork } from "../../src/generators/next-scale/varedit/network.ts";
import { loadEditor } from "../../src/generators/next-scale/varedit/open.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// A folder with random weights, and what PyTorch computes: training/ttsvar/varedit/tiny.py.
const dir = fileURLToPath(new URL("../fixtures/models/varedit-tiny", import.meta.url));
const golden = JSON.parse(
  readFileSync(new URL("../fixtures/models/varedit-tiny.golden.json", import.meta.url), "utf8"),
) as Record<"bits" | "aligned" | "whole", number[][]> & { prompt: string; source: number[] };

function picture(seed: number): RgbImage {
  const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, at) => (at * 7 + seed * 91) % 256);
  return { width: 16, height: 16, data };
}

/** The contract's tasks have no source. */
function editing(generator: Generator, source: RgbImage): Generator {
  return {
    traits: generator.traits,
    start: (task, ids) => generator.start({ ...task, source }, ids),
    withSettings: async (settings) => editing(await generator.withSettings!(settings), source),
    [Symbol.asyncDispose]: () => generator[Symbol.asyncDispose](),
  };
}

describeSampler("VAREdit, tiny", async () => editing(await loadEditor(dir, {}, { threads: 1 }), picture(1)), {
  prompts: ["make the cup red", "remove the dog"],
  otherSettings: { guidance: 1 },
});

describe("VAREdit, tiny", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await loadEditor(dir, {}, { threads: 1 });
  }, 120_000);
  afterAll(() => generator[Symbol.asyncDispose]());

  for (const [name, aligned] of [
    ["aligned", true],
    ["whole", false],
  ] as const) {
    it(`computes PyTorch's logits with the source in the past: ${name}`, async () => {
      const { model, network, code, close } = await openNetwork(
        dir,
        {},
        {
          threads: 1,
          family: "varedit",
        },
      );
      const source = async () => Float32Array.from(golden.source);
      const editor = new EditNetwork(network, model.schedule, source, code.tokenChannels, aligned);
      let state = await editor.begin({ prompt: golden.prompt, seed: 0, source: picture(0) });
      let sum: Float32Array | null = null;
      for (const [stage, bits] of golden.bits.entries()) {
        const data = new Float32Array(code.tokens(stage) * code.tokenChannels);
        if (sum) code.input(sum, stage, data);
        const z = stage === 0 ? null : { dims: [2, code.tokens(stage), 8], data: twice(data) };
        if (stage === 1) state = editor.select(state, [0, 0]);
        const width = stage === 0 ? 1 : 2;
        const output = await editor.run(state, { stage, width, z, guided: true });
        const own = output.delta.data.subarray(0, bits.length);
        own.forEach((value, at) => {
          expect(Math.abs(value - golden[name][stage]![at]!)).toBeLessThan(2e-3);
        });
        sum = code.add(sum, Uint8Array.from(bits), stage);
        state = output.state;
      }
      await close();
    });
  }

  it("draws by the source, with and without alignment, and needs one", async () => {
    const plain = await generator.withSettings!({ sar: false });
    expect([generator.traits.settings["sar"], plain.traits.settings["sar"]]).toEqual([true, false]);
    const drawn: string[] = [];
    for (const [each, source] of [
      [generator, picture(1)],
      [generator, picture(2)],
      [plain, picture(1)],
    ] as const) {
      const session = await each.start({ prompt: golden.prompt, seed: 1, source }, ["c0"]);
      while (session.stage < 4) await session.step();
      const [view] = await session.view([0], FULL_VIEW);
      drawn.push(Buffer.from(view!.frames[0].data).toString("hex"));
    }
    expect(new Set(drawn).size).toBe(3);
    await expect(generator.start({ prompt: "remove the dog", seed: 0 }, ["c0"])).rejects.toThrow(/--image/);
  });
});

function twice(data: Float32Array): Float32Array {
  const out = new Float32Array(2 * data.length);
  out.set(data);
  out.set(data, data.length);
  return out;
}
