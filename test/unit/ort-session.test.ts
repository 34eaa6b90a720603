import type { InferenceSession } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { checkFeeds, openOrtSession } from "../../src/inference/runtime/ort-session.ts";

const metadata: InferenceSession.ValueMetadata[] = [
  { name: "z", isTensor: true, type: "float32", shape: ["B", "L", 4] },
  { name: "past", isTensor: true, type: "float32", shape: ["B", 2, "P"] },
];
const tensor = (...dims: number[]) => ({ dims, data: new Float32Array(dims.reduce((a, b) => a * b, 1)) });
const check = (feeds: Parameters<typeof checkFeeds>[1]) => checkFeeds(metadata, feeds, "step.onnx");

describe("checkFeeds", () => {
  it("accepts what fits, empty axes included", () => {
    expect(() => check({ z: tensor(2, 3, 4), past: tensor(2, 2, 0) })).not.toThrow();
  });

  it("names the input, what it is and what it should be", () => {
    expect(() => check({ z: tensor(2, 3, 4) })).toThrow(/step\.onnx: input past is missing; given: z/);
    expect(() => check({ z: tensor(2, 3, 5), past: tensor(2, 2, 0) })).toThrow(
      /input z must have the shape \[B, L, 4\], not \[2, 3, 5\]/,
    );
    expect(() => check({ z: tensor(2, 4), past: tensor(2, 2, 0) })).toThrow(
      /shape \[B, L, 4\], not \[2, 4\]/,
    );
    expect(() => check({ z: tensor(2, 3, 4), past: tensor(3, 2, 1) })).toThrow(
      /axis B is 2 in input z but 3 in input past/,
    );
    expect(() => check({ z: { dims: [1, 1, 4], data: new Float32Array(3) }, past: tensor(1, 2, 0) })).toThrow(
      /input z has 3 values/,
    );
    expect(() => check({ z: tensor(1, 1, 4), past: tensor(1, 2, 0), x: tensor(1) })).toThrow(
      /has no input x/,
    );
  });
});

describe("openOrtSession", () => {
  it("returns only the outputs that were asked for, and the same for any number of threads", async () => {
    const file = `${await embeddedModelPath("generator")}/text_encoder.onnx`;
    const feeds = { input_ids: { dims: [1, 3], data: BigInt64Array.of(3n, 4n, 1n) } };
    const results: Float32Array[] = [];
    for (const threads of [1, 2]) {
      const session = await openOrtSession(file, { threads });
      const output = await session.run(feeds, ["text_states"]);
      expect(Object.keys(output)).toEqual(["text_states"]);
      expect(output["text_states"]!.dims.slice(0, 2)).toEqual([1, 3]);
      results.push(output["text_states"]!.data);
      await session[Symbol.asyncDispose]();
    }
    expect(results[1]).toEqual(results[0]);
  });

  it("says which file the runtime cannot load", async () => {
    const file = `${await embeddedModelPath("generator")}/tokenizer.json`;
    await expect(openOrtSession(file)).rejects.toMatchObject({ code: "MODEL_RUNTIME" });
    await expect(openOrtSession(file)).rejects.toThrow(/tokenizer\.json/);
  });
});
