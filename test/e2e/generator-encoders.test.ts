import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/core/image.ts";
import { rowOf } from "../../src/core/tensor.ts";
import { openDualEncoder } from "../../src/features/dual-encoder.ts";
import { pca } from "../../src/features/reduce.ts";
import { embeddedModelsDir } from "../../src/inference/folder/model-folder.ts";
import { openOrtSession } from "../../src/inference/runtime/ort-session.ts";
import { loadClip } from "../../src/inference/vision/clip.ts";
import type { Clip } from "../../src/inference/vision/clip-types.ts";
import type { Detector } from "../../src/inference/vision/detection.ts";
import { loadDetector } from "../../src/inference/vision/detector.ts";
import { stockClip } from "./support/stock-clip.ts";

const HOOK_MS = 120_000;
const dualEncoder = join(embeddedModelsDir(), "dual-encoder");
const colours = ["red", "green", "blue", "white"];

/** Plain images with a coloured square: real pixels, without a generator. */
async function picture(colour: string, size = 64): Promise<RgbImage> {
  const square = { create: { width: size / 2, height: size / 2, channels: 3 as const, background: colour } };
  const canvas = { create: { width: size, height: size, channels: 3 as const, background: "lightgray" } };
  const { data } = await sharp(canvas)
    .composite([{ input: await sharp(square).png().toBuffer(), left: size / 4, top: size / 4 }])
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: size, height: size, data: new Uint8Array(data) };
}

describe("embedded dual encoder", () => {
  let clip: Clip;
  let images: RgbImage[];
  beforeAll(async () => {
    clip = await loadClip(dualEncoder);
    images = await Promise.all(colours.map((colour) => picture(colour)));
  }, HOOK_MS);
  afterAll(async () => clip?.dispose(), HOOK_MS);

  it.each(["dual-encoder", "dual-encoder-int8"])(
    "gives images of the %s the same bits in any batch",
    async (name) => {
      const graph = join(embeddedModelsDir(), name, "onnx", "vision_model.onnx");
      for (const threads of [1, 2]) {
        await using session = await openOrtSession(graph, { threads });
        const data = Float32Array.from({ length: 8 * 3 * 64 * 64 }, (_, at) =>
          Math.sin(at * at * 1e-4 + at * 0.7),
        );
        const rows = (from: number, to: number) => ({
          pixel_values: {
            dims: [to - from, 3, 64, 64],
            data: data.slice(from * 3 * 64 * 64, to * 3 * 64 * 64),
          },
        });
        const alone = [];
        for (let row = 0; row < 8; row++) alone.push(await session.run(rows(row, row + 1)));
        for (const size of [2, 3, 5, 7, 8]) {
          const together = await session.run(rows(0, size));
          for (const output of session.outputs) {
            for (let row = 0; row < size; row++) {
              expect(rowOf(together[output]!, row)).toEqual(rowOf(alone[row]![output]!, 0));
            }
          }
        }
      }
    },
  );

  it("gives an image the same embedding and tokens alone and in any batch", async () => {
    const together = await clip.encodeImages(images);
    const alone = await clip.encodeImages([images[2]!]);
    expect(together.embeds.dims[0]).toBe(4);
    expect(rowOf(together.embeds, 2)).toEqual(rowOf(alone.embeds, 0));
    expect(rowOf(together.tokens!, 2)).toEqual(rowOf(alone.tokens!, 0));
    expect(rowOf(together.embeds, 1)).not.toEqual(rowOf(alone.embeds, 0));
  });

  it("gives the same to whoever has many", async () => {
    const many = Array.from({ length: 50 }, (_, at) => images[at % images.length]!);
    const few = await clip.encodeImages(images);
    // Two sessions share them out as soon as the second one is open.
    for (let round = 0; round < 3; round++) {
      const { embeds, tokens } = await clip.encodeImages(many);
      expect([embeds.dims[0], tokens!.dims[0]]).toEqual([50, 50]);
      for (const row of [0, 23, 49]) {
        expect(rowOf(embeds, row)).toEqual(rowOf(few.embeds, row % images.length));
        expect(rowOf(tokens!, row)).toEqual(rowOf(few.tokens!, row % images.length));
      }
    }
  });

  it("gives a text the same embedding alone and beside longer ones", async () => {
    const texts = ["a photo of a dog", "a photo of two red cars to the left of a green clock"];
    const together = await clip.encodeText(texts);
    expect(rowOf(together, 0)).toEqual((await clip.encodeText([texts[0]!])).data);
    expect(rowOf(together, 0)).not.toEqual(rowOf(together, 1));
  });

  it("is to the last bit what transformers.js makes of the folder", async () => {
    const stock = await stockClip(dualEncoder);
    for (const image of images) {
      const { embeds, tokens } = await stock.image(image);
      const ours = await clip.encodeImages([image]);
      expect(ours.embeds.data).toEqual(embeds);
      expect(ours.tokens!.data).toEqual(tokens);
    }
    expect((await clip.encodeText(["a photo of a dog"])).data).toEqual(await stock.text("a photo of a dog"));
    await stock.dispose();
  });

  it("takes images of other sizes", async () => {
    const { embeds } = await clip.encodeImages([await picture("red", 160)]);
    const same = (await clip.encodeImages([images[0]!])).embeds;
    const cosine = (a: Float32Array, b: Float32Array) =>
      a.reduce((sum, value, at) => sum + value * b[at]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
    expect(cosine(embeds.data, same.data)).toBeGreaterThan(0.9);
  });

  it("gives patch tokens that cluster by picture", async () => {
    const extractor = await openDualEncoder(dualEncoder);
    const copies = [images[0]!, images[1]!, images[0]!];
    const tokens = await extractor.extract(copies);
    expect(tokens.patches.dims.slice(0, 2)).toEqual([3, 64]);
    expect(tokens.summary!.dims[0]).toBe(3);
    const vectors = pca(tokens);
    expect(rowOf(vectors, 0)).toEqual(rowOf(vectors, 2));
    expect(rowOf(vectors, 0)).not.toEqual(rowOf(vectors, 1));
    await extractor[Symbol.asyncDispose]();
  });
});

describe("embedded detector", () => {
  let detector: Detector;
  beforeAll(async () => {
    detector = await loadDetector(join(embeddedModelsDir(), "detector-a"), { minimumScore: 0 });
  }, HOOK_MS);
  afterAll(async () => detector?.dispose(), HOOK_MS);

  it("reads every query alike in any batch, with colours and boxes inside the image", async () => {
    const images = await Promise.all(colours.map((colour) => picture(colour)));
    const together = await detector.detect(images);
    const [alone] = await detector.detect([images[3]!]);
    expect(together[3]).toEqual(alone);
    expect(detector.labels).toHaveLength(80);
    for (const { box, score, colors, label } of together.flat()) {
      expect(detector.labels).toContain(label);
      expect(score).toBeLessThanOrEqual(1);
      expect(colors!.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
      for (const edge of box) expect(edge >= 0 && edge <= 64).toBe(true);
    }
  });
});
