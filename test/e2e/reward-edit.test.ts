import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/core/image.ts";
import type { Reward } from "../../src/core/reward.ts";
import { decodePng } from "../../src/io/png.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";
import { runHere } from "./support/run-here.ts";

// A scene of the synthetic world and the same with one object recoloured: training/ttsvar/varedit/write_pairs.py, pair 32.
const pictures = new URL("../fixtures/edits/", import.meta.url).pathname;

describe("the reward edit", () => {
  let reward: Reward;
  let source: RgbImage;
  let target: RgbImage;
  beforeAll(async () => {
    ({ value: reward } = await loadReward("edit", {}, rewardHost(process.cwd())));
    [source, target] = [await decodePng(`${pictures}source.png`), await decodePng(`${pictures}target.png`)];
  }, 120_000);
  afterAll(() => reward[Symbol.asyncDispose]());

  const scoreOf = async (image: RgbImage, prompt = "make the boat red"): Promise<number> => {
    const { scores } = await reward.score(
      [{ id: "c0", prompt, metadata: {}, image, source }],
      rewardContext(),
    );
    return scores[0]!;
  };

  it("is near 1 for the edit, and low for the source as it was or another edit", async () => {
    expect(await scoreOf(target)).toBeGreaterThan(0.95);
    expect(await scoreOf(source)).toBeLessThan(0.8);
    expect(await scoreOf(target, "remove the boat")).toBeLessThan(0.3);
    expect(await scoreOf(target, "replace the boat with a dog")).toBeLessThan(0.3);
  });

  it("falls with what is changed elsewhere", async () => {
    const spoiled = (by: number): RgbImage => ({
      ...target,
      data: target.data.map((value) => Math.max(0, value - by)),
    });
    const [slightly, badly] = [await scoreOf(spoiled(4)), await scoreOf(spoiled(40))];
    expect(slightly).toBeLessThan(await scoreOf(target));
    expect(badly).toBeLessThan(0.5 * slightly);
  });

  it("needs a source", async () => {
    const item = { id: "c0", prompt: "make the boat red", metadata: {}, image: target };
    await expect(reward.score([item], rewardContext())).rejects.toThrow(/give one with --image/);
  });

  it("is what a search for an edit goes by", async () => {
    const dir = await mkdtemp(join(tmpdir(), "tts-var-edit-"));
    const task = ["--image", `${pictures}source.png`, "--prompt", "make the boat red"];
    const how = ["--model", "varedit", "--reward", "edit", "--strategy", "best-of-n", "--budget", "2"];
    const output = ["--report", "none", "--sheet", "none", "--json", "--out", join(dir, "run")];
    const { code, stdout } = await runHere(["search", ...task, ...how, ...output]);
    await rm(dir, { recursive: true });
    expect(code).toBe(0);
    // Recoloured, and the elephant beside it is still there.
    expect(JSON.parse(stdout).best.score).toBeGreaterThan(0.5);
  }, 120_000);
});
