import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { classifier } from "../../rewards/classifier.ts";
import { FULL_VIEW } from "../../src/core/generator.ts";
import type { RgbImage } from "../../src/core/image.ts";
import type { RewardHost } from "../../src/core/plugin.ts";
import { loadInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";

// test/fixtures/make-classifier-tiny.py: the class is the brightest of three channels.
const tiny = fileURLToPath(new URL("../fixtures/models/classifier-tiny", import.meta.url));

describe("reward classifier", () => {
  const context = {
    signal: new AbortController().signal,
    stage: { kind: "final", index: 0, count: 1 },
    seed: 0,
    log: () => undefined,
  } as const;
  const host = {
    baseDir: process.cwd(),
    allowDownload: false,
    log: () => undefined,
  } as unknown as RewardHost;
  const flat = (r: number, g: number, b: number): RgbImage => ({
    width: 8,
    height: 8,
    data: Uint8Array.from({ length: 192 }, (_, at) => [r, g, b][at % 3]!),
  });
  let dog: RgbImage;

  beforeAll(async () => {
    const generator = await loadInfinity(await embeddedModelPath("generator"), {}, { threads: 1 });
    const session = await generator.start({ prompt: "a photo of a dog", seed: 0 }, ["c0"]);
    while (session.stage < generator.traits.stages.length) await session.step();
    dog = (await session.view([0], FULL_VIEW))[0]!.frames[0];
    await generator[Symbol.asyncDispose]();
  }, 120_000);

  it("gives the softmax of an image classifier, and finds classes by their synonyms", async () => {
    const options = { model: tiny, scale: 50 };
    const reward = await classifier.create(options, host);
    const score = async (image: RgbImage, prompt: string): Promise<number> => {
      const { scores } = await reward.score([{ image, prompt, metadata: {}, id: "c0" }], context);
      return scores[0]!;
    };
    const share = Math.exp(10) / (Math.exp(10) + 2);
    expect(await score(flat(255, 0, 0), "a photo of a tench")).toBeCloseTo(share, 5);
    expect(await score(flat(255, 0, 0), "Tinca tinca")).toBeCloseTo(share, 5);
    expect(await score(flat(255, 0, 0), "a goldfish")).toBeCloseTo((1 - share) / 2, 5);
    await expect(score(dog, "a photo of a goldfsh")).rejects.toThrow(/did you mean "goldfish"/);
    await reward[Symbol.asyncDispose]();
  });

  for (const model of ["dual-encoder", "detector-a"]) {
    it(`tells a dog from a boat: ${model}`, async () => {
      const reward = await classifier.create({ model, scale: 50 }, host);
      const items = ["a photo of a dog", "a photo of a boat"].map((prompt) => ({
        image: dog,
        prompt,
        metadata: {},
        id: "c0",
      }));
      const { scores } = await reward.score(items, context);
      // The detector's probabilities are those of single places, and lower.
      expect(scores[0]).toBeGreaterThan(0.2);
      expect(scores[0]! / scores[1]!).toBeGreaterThan(3);
      await reward[Symbol.asyncDispose]();
    });
  }
});
