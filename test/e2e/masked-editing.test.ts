import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator, type Session } from "../../src/core/generator.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { MASK_MODES, type Task } from "../../src/core/task.ts";
import { loadInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";

const OPENING_MS = 120_000;

/** White where `inside` holds. */
function maskOf(side: number, inside: (x: number, y: number) => boolean): RgbImage {
  const data = new Uint8Array(side * side * 3);
  for (let pixel = 0; pixel < side * side; pixel++) {
    if (inside(pixel % side, Math.floor(pixel / side))) data.fill(255, pixel * 3, pixel * 3 + 3);
  }
  return { width: side, height: side, data };
}

/** PSNR in dB over the pixels where the mask is black. */
function outside(a: RgbImage, b: RgbImage, mask: RgbImage): number {
  let sum = 0;
  let count = 0;
  a.data.forEach((value, at) => {
    if (mask.data[at]! >= 128) return;
    sum += (value - b.data[at]!) ** 2;
    count++;
  });
  return sum === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10((255 ** 2 * count) / sum);
}

describe("masked editing on the embedded generator", () => {
  let generator: Generator;
  let source: RgbImage;
  const right = maskOf(64, (x) => x >= 32);
  const draw = async (task: Partial<Task>, ids = ["c0"]): Promise<Session> => {
    const session = await generator.start({ prompt: "a photo of a dog and a cup", seed: 5, ...task }, ids);
    while (session.stage < generator.traits.stages.length) await session.step();
    return session;
  };
  const image = async (session: Session, row = 0): Promise<RgbImage> =>
    (await session.view([row], FULL_VIEW))[0]!.frames[0];

  beforeAll(async () => {
    generator = await loadInfinity(await embeddedModelPath("generator"), {}, { threads: 1 });
    source = await image(await draw({ prompt: "a photo of a dog and a clock" }));
  }, OPENING_MS);
  afterAll(() => generator[Symbol.asyncDispose]());

  for (const maskMode of MASK_MODES) {
    it(`keeps what is outside the mask and draws what is inside: ${maskMode}`, async () => {
      const keep = await generator.encode!(source);
      const round = await image(await draw({ keep }));
      const session = await draw({ source, mask: right, maskMode }, ["c0", "c1"]);
      const [first, second] = [await image(session, 0), await image(session, 1)];
      // One column of cells next to the mask shares the decoder's view with what was drawn.
      const far = maskOf(64, (x) => x >= 24);
      for (const edited of [first, second]) {
        if (maskMode === "requantise") expect(outside(edited, round, far)).toBeGreaterThan(30);
        else expect(outside(edited, round, far)).toBeGreaterThan(20);
      }
      expect(
        outside(
          first,
          second,
          maskOf(64, (x) => x < 32),
        ),
      ).toBeLessThan(40);
      const [tokens] = await session.tokens([0], 5);
      const left = [...tokens!.data].filter((_, at) => Math.floor(at / 32) % 8 < 4);
      if (maskMode === "paste") {
        expect(left).toEqual([...keep[5]!.data].filter((_, at) => Math.floor(at / 32) % 8 < 4));
      }
    });
  }

  it("draws a candidate alike alone and beside others, and refuses masks that mean nothing", async () => {
    const pair = await draw({ source, mask: right }, ["c0", "c1"]);
    const alone = await draw({ source, mask: right }, ["c1"]);
    expect((await image(alone)).data).toEqual((await image(pair, 1)).data);
    const all = maskOf(64, () => true);
    await expect(draw({ source, mask: all })).rejects.toThrow(/white everywhere/);
    await expect(draw({ source })).rejects.toThrow(/--mask/);
    await expect(draw({ source, mask: maskOf(32, (x) => x > 8) })).rejects.toThrow(/32x32/);
  });
});
