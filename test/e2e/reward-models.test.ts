import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { RewardItem } from "../../src/core/reward.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { dot, unit } from "../../src/inference/vision/cosine.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { verdictOf } from "../../src/run/reward-verdict.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { formulaImage } from "../fixtures/formula-image.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";
import { stockClip } from "./support/stock-clip.ts";

interface ScoreVector {
  reward: string;
  folder: string;
  prompts: string[];
  /** [prompt][image], by training/reward_vectors.py with Pillow, PyTorch and onnxruntime. */
  scores: number[][];
}

const vectors: ScoreVector[] = JSON.parse(
  readFileSync(new URL("../fixtures/rewards/scores.json", import.meta.url), "utf8"),
);
const fixtures = fileURLToPath(new URL("../fixtures", import.meta.url));
const images = [formulaImage(300, 200), formulaImage(50, 80)];

describe("the field's rewards, whole path on tiny random models of their architecture", () => {
  const open: AsyncDisposable[] = [];
  afterAll(async () => {
    for (const reward of open.reverse()) await reward[Symbol.asyncDispose]();
  });

  test.each(vectors)("$reward in $folder scores as the Python pipeline", async (vector) => {
    const host = rewardHost(fixtures);
    const options = {
      model: `./models/${vector.folder}`,
      ...(vector.folder.includes("v25") ? { head: "v2.5" } : {}),
    };
    const { value, provenance } = await loadReward(vector.reward, options, host);
    const reward = createScoring(value, { options });
    open.push(reward);
    expect(provenance.kind).toBe("builtin");
    const batch = vector.prompts.flatMap((prompt, row) =>
      images.map((image, at): RewardItem => ({ id: `c${row}.${at}`, prompt, metadata: {}, image })),
    );
    const { scores } = await reward.score(batch, rewardContext());
    const expected = vector.scores.flat();
    for (const [index, score] of expected.entries()) expect(scores[index]).toBeCloseTo(score, 3);
    expect(new Set(expected).size).toBeGreaterThan(1);
    if (vector.reward === "clip") {
      const probable = { ...options, mode: "sigmoid" };
      const { value: sigmoid } = await loadReward("clip", probable, host);
      open.push(sigmoid);
      const { scores: probabilities } = await sigmoid.score(batch, rewardContext());
      for (const [index, cosine] of expected.entries()) {
        expect(probabilities[index]).toBeCloseTo(1 / (1 + Math.exp(-(Math.exp(2.3) * cosine - 1.5))), 2);
      }
      expect(sigmoid.range).toEqual([0, 1]);
    }
    expect(reward.modelId).toMatch(new RegExp(`^${vector.folder}@[0-9a-f]{16}$`));
    expect(reward.flops).toBeGreaterThan(0);
    if (vector.folder.includes("v25")) expect(host.lines.join()).toContain("AGPL-3.0");
  });

  test("clip runs on any CLIP folder", async () => {
    const host = rewardHost(fixtures);
    const { value } = await loadReward("clip", { model: "./models/pickscore-tiny" }, host);
    open.push(value);
    const [item] = images.map(
      (image): RewardItem => ({ id: "c0", prompt: "a photo of a dog", metadata: {}, image }),
    );
    const { scores } = await value.score([item!, { ...item!, prompt: "two cats" }], rewardContext());
    expect(scores[0]).not.toBe(scores[1]);
    expect(Math.abs(scores[0]!)).toBeLessThanOrEqual(1);
  });

  test("clip's probability needs the scale and bias, which few folders carry", async () => {
    const options = { model: "./models/hps-v2-tiny", mode: "sigmoid" };
    await expect(loadReward("clip", options, rewardHost(fixtures))).rejects.toMatchObject({
      code: "MODEL_INVALID",
      message: expect.stringMatching(/config\.json has no logit_scale and logit_bias; .*mode=cosine/),
    });
  });

  test("clip by default is the embedded dual encoder, equal to the stock transformers.js path", async () => {
    const { value } = await loadReward("clip", undefined, rewardHost(fixtures));
    open.push(value);
    const prompts = ["a photo of a red car", "a photo of a green dog"];
    const small = formulaImage(64, 64);
    const batch = prompts.map(
      (prompt, i): RewardItem => ({ id: `c${i}`, prompt, metadata: {}, image: small }),
    );
    const { scores } = await value.score(batch, rewardContext());
    const stock = await stockClip(await embeddedModelPath("dual-encoder"));
    const { embeds } = await stock.image(small);
    for (const [i, score] of Array.from(scores).entries()) {
      const cosine = dot(unit(await stock.text(prompts[i]!), "text"), unit(embeds, "image"));
      expect(score).toBeCloseTo(cosine, 6);
    }
    await stock.dispose();
  });

  test("clip in int8 is a model of its own whose scores are near", async () => {
    const [exact, near] = await Promise.all(
      [undefined, { model: "dual-encoder-int8" }].map((options) =>
        loadReward("clip", options, rewardHost(fixtures)),
      ),
    );
    open.push(exact!.value, near!.value);
    expect(near!.value.version).not.toBe(exact!.value.version);
    const { suggestedLambda, license, flops, range } = exact!.value;
    expect(near!.value).toMatchObject({ suggestedLambda, license, flops, range });
    const batch = ["a photo of a red car", "two cups"].map(
      (prompt, i): RewardItem => ({ id: `c${i}`, prompt, metadata: {}, image: formulaImage(64, 64) }),
    );
    const [wanted, found] = await Promise.all(
      [exact!, near!].map(({ value }) => value.score(batch, rewardContext())),
    );
    for (const [i, score] of Array.from(found!.scores).entries()) {
      expect(Math.abs(score! - wanted!.scores[i]!)).toBeLessThan(0.05);
    }
    // Alone or in a batch, to the bit.
    const alone = await near!.value.score(batch.slice(1), rewardContext());
    expect(alone.scores[0]).toBe(found!.scores[1]);
  });

  test("geneval scores by the embedded detector, explains, and refuses prompts it cannot read", async () => {
    const { value } = await loadReward("geneval", undefined, rewardHost(fixtures));
    open.push(value);
    const item: RewardItem = { id: "c0", prompt: "two red cups", metadata: {}, image: formulaImage(64, 64) };
    const given = { tag: "single_object", include: [{ class: "clock", count: 1 }] };
    const { scores, details } = await value.score([item, { ...item, metadata: given }], rewardContext());
    for (const score of Array.from(scores)) expect(score! >= 0 && score! < 1).toBe(true);
    const named = details!.map((detail) =>
      (detail!["conditions"] as { what: string }[]).map(({ what }) => what),
    );
    expect(named).toEqual([["cup 1", "cup 2", "red cup 1", "red cup 2", "fewer than 3 cup"], ["clock 1"]]);
    const verdict = verdictOf(details![1]).verdict!;
    expect(verdict.atoms).toMatchObject([{ question: "How many clock?", expected: "at least 1", p: 0 }]);
    expect(verdict.reason).toBe("expected clock>=1, found 0");
    expect(value.modelId).toMatch(/^detector-a@/);
    const unread = { ...item, prompt: "a photo of a dragon" };
    await expect(value.score([unread], rewardContext())).rejects.toThrow(
      /does not know "dragon".*choose another reward/,
    );
  });

  test("weights that were not given are asked for with the command that makes them", async () => {
    await expect(loadReward("image-reward", {}, rewardHost(fixtures))).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("export_rewards.py image-reward"),
    });
    await expect(loadReward("hps-v2", { model: "owner/name" }, rewardHost(fixtures))).rejects.toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("--allow-download"),
    });
  });
});
