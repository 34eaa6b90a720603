import { describe, expect, it } from "vitest";
import { drive } from "../../rewards/drive.ts";
import { track } from "../../rewards/track.ts";
import type { RgbImage } from "../../src/core/image.ts";
import type { RewardHost } from "../../src/core/plugin.ts";
import type { RewardContext } from "../../src/core/reward.ts";
import { createCostModel } from "../../src/engine/cost-model.ts";
import { fromPatches } from "../../src/generators/frames/network.ts";
import { evenTimes, posesOf, sketch } from "../../src/generators/frames/plan.ts";
import { frameSettings } from "../../src/generators/frames/settings.ts";

const facts = {
  ...{ file: "plan.onnx", sha256: "", flops: 1, steps: 2 },
  grid: { first: 16, step: 8, places: 5 },
  sketch: { road: [168, 178, 192], size: [16, 10], paint: { red: [216, 30, 36], blue: [32, 92, 220] } },
} satisfies Parameters<typeof posesOf>[1];
const shape = { id: "1:1", width: 64, height: 64, frames: 5, grain: 8 };
const full = { size: 1, look: "now" } as const;
const context: RewardContext = {
  signal: new AbortController().signal,
  stage: { kind: "final", index: 4, count: 5 },
  seed: 0,
  log: () => undefined,
};
const score = async (reward: typeof track, prompt: string, frames: readonly RgbImage[]) => {
  const opened = await reward.create({}, {} as RewardHost);
  const item = { image: frames[frames.length >> 1]!, frames, prompt, metadata: {}, id: "c0" };
  return (await opened.score([item], context)).scores[0]!;
};
/** A red box 12 pixels wide at these places, before a pale ground. */
const boxes = (places: readonly (readonly [number, number])[], color = "red"): RgbImage[] => {
  const box = { ...facts, sketch: { ...facts.sketch, size: [12, 12] as [number, number] } };
  return sketch(places, box, color, shape, full);
};

describe("frames", () => {
  it("put patches back into reading order", () => {
    const values = Float32Array.of(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    expect([...fromPatches(values, 4, 2)]).toEqual([...Array(16).keys()]);
  });

  it("solve from noise to the frame in even steps", () => {
    expect(evenTimes(4)).toEqual([1, 0.75, 0.5, 0.25, 0]);
  });

  it("know plan steps only where there is a plan", () => {
    const own = { steps: 8, guidance: 2 };
    expect(frameSettings(own, 16, { planSteps: 4 })).toEqual({ ...own, planSteps: 4 });
    expect(frameSettings(own, undefined, { steps: 3 })).toEqual({ steps: 3, guidance: 2 });
    expect(() => frameSettings(own, undefined, { planSteps: 4 })).toThrow(/no such setting/);
  });

  it("round a plan to the grid, half to even, and show it there", () => {
    const poses = posesOf([-1, 1, -0.25, 0.25, 9, -9], facts);
    expect(poses).toEqual([
      [0, 4],
      [2, 2],
      [4, 0],
    ]);
    const [image] = sketch(poses, facts, "a blue car", shape, { size: 0.5, look: "now" });
    expect([image!.width, image!.height]).toEqual([32, 32]);
    const at = 3 * (24 * 32 + 8);
    expect([...image!.data.subarray(at, at + 3)]).toEqual(facts.sketch.paint.blue);
  });
});

describe("views of clips", () => {
  it("cost what is there: frames so far, and nothing for a plan", () => {
    const stages = [0, 1, 2].map((index) => ({ index, label: "", tokens: 1, final: 1 }));
    const cost = {
      ...{ prompt: 0, stages: [1, 1, 1], shared: 0 },
      views: { now: 100 },
      viewShares: [0, 0.5, 1],
    };
    const rewards = { r: { flops: 0 } };
    const model = createCostModel({
      ...{
        generator: { stages, shape, cost },
        keep: 0,
        prompts: 1,
        rewards,
        primaryReward: "r",
        featureFlops: 0,
      },
    });
    expect([1, 2, 3].map((stage) => model.view(full, stage))).toEqual([0, 50, 100]);
    expect(model.unit).toBe(103);
  });
});

describe("the reward track", () => {
  const right = [0, 1, 2, 3, 4].map((x) => [x, 2] as const);

  it("is high for a thing that goes where the prompt says, and nothing for one that does not", async () => {
    const clip = boxes(right);
    expect(await score(track, "a red ball moving right", clip)).toBeGreaterThan(0.95);
    expect(await score(track, "a red ball moving left", clip)).toBe(0);
    expect(await score(track, "a blue ball moving right", clip)).toBe(0);
  });

  it("falls with every frame in which the thing is lost", async () => {
    const clip = boxes(right);
    const lost = clip.map((frame, at) => (at === 3 ? blank(frame) : frame));
    expect(await score(track, "a red ball moving right", lost)).toBeLessThan(0.5);
  });
});

function blank({ width, height, data }: RgbImage): RgbImage {
  return { width, height, data: data.map((_, at) => data[at % 3]!) };
}

describe("the reward drive", () => {
  const prompt = "a red car driving up past a stop sign in the middle and a fire hydrant below";

  it("is 1 for a way around what the prompt names to the side that it names", async () => {
    const safe = boxes([0, 1, 2, 3, 4].map((x) => [x, 0] as const));
    expect(await score(drive, prompt, safe)).toBe(1);
  });

  it("ends at a collision, and counts how near the end is to the goal", async () => {
    const through = boxes([0, 1, 2, 3, 4].map((x) => [x, 2] as const));
    expect(await score(drive, prompt, through)).toBeCloseTo((1 / 5) * 0.5, 12);
  });

  it("refuses prompts that are no drive", async () => {
    await expect(score(drive, "a photo of a dog", boxes([[0, 0]]))).rejects.toThrow(/driving up past/);
  });
});
