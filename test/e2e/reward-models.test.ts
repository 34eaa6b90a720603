import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import type { RewardItem } from "../../src/core/reward.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { createScoring } from "../../src/scoring/create-scoring.ts";
import { formulaImage } from "../fixtures/formula-image.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";

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
    expect(reward.modelId).toMatch(new RegExp(`^${vector.folder}@[0-9a-f]{16}$`));
    expect(reward.flops).toBeGreaterThan(0);
    if (vector.folder.includes("v25")) expect(host.lines.join()).toContain("AGPL-3.0");
  });

  test("clip runs on any CLIP folder, and a damaged file is refused by name", async () => {
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
