import { describe, expect, it } from "vitest";
import { sharedStages } from "../../src/core/generator.ts";
import { gather } from "../../src/generators/ordered/janus/cache.ts";
import { drawToken } from "../../src/generators/ordered/janus/draw-token.ts";
import { chooseGraphs, filesOf, GRAPHS } from "../../src/generators/ordered/janus/files.ts";
import { withoutText } from "../../src/generators/ordered/janus/prompt.ts";
import { fromHalf, toHalf } from "../../src/inference/runtime/half.ts";

describe("half-precision numbers", () => {
  it("come back as they went", () => {
    const finite = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter(
      (bits) => (bits & 0x7c00) !== 0x7c00,
    );
    expect(Buffer.from(toHalf(fromHalf(finite)).buffer).equals(Buffer.from(finite.buffer))).toBe(true);
  });

  it("round to the nearest, ties to even, and overflow to infinity", () => {
    const given = [
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      65519,
      65520,
      2 ** -25,
      3 * 2 ** -25,
      -(2 ** -24),
      Number.NaN,
    ];
    const [tie, odd, most, over, under, up, least, none] = fromHalf(toHalf(Float32Array.from(given)));
    expect([tie, odd, most, over, under, up, least]).toEqual([
      1,
      1 + 2 ** -9,
      65504,
      Number.POSITIVE_INFINITY,
      0,
      2 ** -23,
      -(2 ** -24),
    ]);
    expect(none).toBeNaN();
  });
});

describe("drawToken", () => {
  const plain = { guidance: 1, temperature: 1, topK: null, topP: 1 };
  const logs = (...chances: number[]) => Float32Array.from(chances, Math.log);
  const tokens = (how: { readonly topK?: number; readonly topP?: number }, chances: readonly number[]) =>
    [0.01, 0.3, 0.55, 0.75, 0.99].map(
      (u) => drawToken(logs(...chances), null, { ...plain, ...how }, u).token,
    );

  it("takes the code where the cumulative distribution passes the number", () => {
    expect(tokens({}, [0.2, 0.5, 0.3])).toEqual([0, 1, 1, 2, 2]);
    expect(tokens({ topK: 1 }, [0.2, 0.5, 0.3])).toEqual([1, 1, 1, 1, 1]);
    expect(tokens({ topK: 2 }, [0.2, 0.5, 0.3])).toEqual([1, 1, 1, 2, 2]);
    expect(tokens({ topP: 0.5 }, [0.2, 0.5, 0.3])).toEqual([1, 1, 1, 1, 1]);
    expect(tokens({ topP: 0.7 }, [0.2, 0.5, 0.3])).toEqual([1, 1, 1, 2, 2]);
  });

  it("leads away from the unconditional branch, and tells what it knows", () => {
    const { token, logProb, entropy, guidanceGap } = drawToken(
      Float32Array.of(1, 0),
      Float32Array.of(0, 1),
      { ...plain, guidance: 2, temperature: 3 },
      0,
      1,
    );
    // l = (2 * 1 - 0, 2 * 0 - 1) / 3 = (2/3, -1/3).
    const chance = 1 / (1 + Math.E);
    expect(token).toBe(1);
    expect(logProb).toBeCloseTo(Math.log(chance));
    expect(entropy).toBeCloseTo(-chance * Math.log(chance) - (1 - chance) * Math.log(1 - chance));
    expect(guidanceGap).toBe(1);
    expect(() => drawToken(Float32Array.of(Number.NaN, 0), null, plain, 0)).toThrow(/code 0 is NaN/);
  });
});

describe("a Janus folder's files", () => {
  const folder = [
    "config.json",
    "tokenizer.json",
    "README.md",
    ...GRAPHS.map((name) => `onnx/${name}.onnx`),
    "onnx/language_model.onnx_data",
    "onnx/language_model_q4.onnx",
    "onnx/language_model_q4f16.onnx",
    "onnx/language_model_q4f16.onnx_data",
    "onnx/language_model_q4f16.onnx_data_1",
    "onnx/gen_head_fp16.onnx",
  ];
  const chosen = (dtype: Parameters<typeof chooseGraphs>[1]) =>
    filesOf(chooseGraphs(folder, dtype, "it"), folder);

  it("are one precision of each graph, with the weights beside it", () => {
    expect(chosen(null)).toEqual([
      "config.json",
      "onnx/gen_head.onnx",
      "onnx/gen_img_embeds.onnx",
      "onnx/image_decode.onnx",
      "onnx/language_model_q4.onnx",
      "onnx/prepare_inputs_embeds.onnx",
      "tokenizer.json",
    ]);
    expect(chosen("fp32")).toContain("onnx/language_model.onnx_data");
    expect(chosen("q4f16").filter((path) => path.includes("language"))).toEqual([
      "onnx/language_model_q4f16.onnx",
      "onnx/language_model_q4f16.onnx_data",
      "onnx/language_model_q4f16.onnx_data_1",
    ]);
  });

  it("must hold every graph, and the language model in the wished precision", () => {
    expect(() =>
      chooseGraphs(
        folder.slice(0, -3).filter((path) => !path.includes("image_decode")),
        null,
        "it",
      ),
    ).toThrow(/it has no onnx\/image_decode\.onnx/);
    expect(() => chosen("int8")).toThrow(
      /dtype is int8, but it has onnx\/language_model\.onnx as fp32, q4, q4f16 only/,
    );
  });
});

describe("a Janus prompt without its text", () => {
  it("keeps its ends as the original does, or nothing as transformers.js does", () => {
    expect(withoutText([1, 7, 8, 9, 3], 2, "original")).toEqual({ ids: [1, 2, 2, 2, 3], seen: true });
    expect(withoutText([1, 7, 8, 9, 3], 2, "released")).toEqual({ ids: [2, 2, 2, 2, 2], seen: false });
  });
});

describe("a cache of blocks", () => {
  const block = { tensors: { k: { dims: [3, 1, 2, 1], data: Float32Array.of(0, 1, 2, 3, 4, 5) } } };
  const rows = (...list: number[]) => list.map((row) => ({ block, row }));

  it("gathers rows in any order, with copies, and copies nothing where all stay", () => {
    expect(gather(rows(2, 0, 2))["k"]).toEqual({
      dims: [3, 1, 2, 1],
      data: Float32Array.of(4, 5, 0, 1, 4, 5),
    });
    expect(gather(rows(0, 1, 2))).toBe(block.tensors);
  });
});

describe("stages after kept tokens", () => {
  const stages = Array.from({ length: 4 }, (_, index) => ({ index, label: "", tokens: 1, final: 1 }));
  const cost = (shared: number) => ({ prompt: 0, stages: [1, 1, 1, 1], shared, views: { now: 1 } });

  it("are shared up to the first draw, which a stage may have in its midst", () => {
    const shared = (own: number) =>
      [0, 1, 2, 4].map((keep) => sharedStages({ cost: cost(own), stages }, keep));
    expect(shared(1)).toEqual([1, 2, 3, 4]);
    expect(shared(0)).toEqual([0, 1, 2, 4]);
  });
});
