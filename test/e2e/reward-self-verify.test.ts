import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RewardItem } from "../../src/core/reward.ts";
import { type OrtSession, openOrtSession } from "../../src/inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import { openVerifier, type Verifier } from "../../src/inference/verifier/verifier.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { formulaImage } from "../fixtures/formula-image.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";

// A masked-set model with random weights and a verifier: training/ttsvar/masked_set/export_verify.py.
const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const dir = `${fixtures}/models/canvas-tiny/harmon`;
const golden = JSON.parse(readFileSync(`${dir}/golden.json`, "utf8")) as {
  readonly questions: string[];
} & Readonly<Record<"tokens" | "ids" | "yes", { shape: number[]; values: number[] }>>;

describe("a generator's own verifier", () => {
  let graph: OrtSession;
  let verifier: Verifier;
  beforeAll(async () => {
    graph = await openOrtSession(`${dir}/verify.onnx`, { threads: 1 });
    verifier = await openVerifier(dir);
  }, 120_000);
  afterAll(async () => {
    await graph[Symbol.asyncDispose]();
    await verifier[Symbol.asyncDispose]();
  });

  it("answers as PyTorch does", async () => {
    const tokenizer = await loadTokenizer(dir, 32);
    const { tokens, ids, yes, questions } = golden;
    const length = ids.shape[1]!;
    questions.forEach((question, at) => {
      const own = tokenizer.encode(question);
      expect(ids.values.slice(at * length, at * length + own.length)).toEqual(own);
    });
    const found = await graph.run({
      tokens: { dims: tokens.shape, data: Float32Array.from(tokens.values) },
      input_ids: { dims: ids.shape, data: BigInt64Array.from(ids.values, BigInt) },
    });
    yes.values.forEach((value, at) => {
      expect(found["yes"]!.data[at]).toBeCloseTo(value, 4);
    });
  });

  it("asks for each of a prompt's conditions, and gives their mean", async () => {
    const { value: reward } = await loadReward(
      "self-verify",
      { model: "./models/canvas-tiny/harmon" },
      rewardHost(fixtures),
    );
    const image = formulaImage(64, 64);
    const prompts = ["a photo of a red apple", "a photo of two dogs", "a photo of a cat left of a car"];
    const batch = prompts.map((prompt, at): RewardItem => ({ id: `c${at}`, prompt, metadata: {}, image }));
    const { scores, details } = await reward.score(batch, rewardContext());
    const asked = details!.map((each) => each!["questions"] as { question: string; yes: number }[]);
    expect(asked.map((each) => each.map(({ question }) => question))).toEqual([
      ["a red apple?"],
      ["two dogs?"],
      ["a car?", "a cat?", "a cat left of a car?"],
    ]);
    asked.forEach((each, at) => {
      expect(scores[at]).toBeCloseTo(each.reduce((sum, { yes }) => sum + yes, 0) / each.length, 6);
    });
    const alone = await reward.score([batch[2]!], rewardContext());
    expect(alone.scores[0]).toBe(scores[2]);
    expect(await verifier.answers(image, ["a car?"])).toEqual([expect.closeTo(asked[2]![0]!.yes, 4)]);
    expect(reward.flops).toBeGreaterThan(0);
    await reward[Symbol.asyncDispose]();
  });

  it("says which model has none", async () => {
    await expect(openVerifier(`${fixtures}/models/canvas-tiny/mar`)).rejects.toThrow(
      /no verifier of its own/,
    );
  });
});
