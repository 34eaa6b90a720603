import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { featureCost, openFeatures } from "../../src/assemble/open-features.ts";
import type { RgbImage } from "../../src/core/image.ts";
import { openDualEncoder } from "../../src/features/dual-encoder.ts";
import { visionFeaturesDefinition } from "../../src/features/vision.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";

// The tower of the dual encoder in the layout of a single vision transformer: equal pixels must give equal tokens.
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "vision-"));
  const source = await embeddedModelPath("dual-encoder");
  await mkdir(join(dir, "onnx"));
  await cp(join(source, "onnx", "vision_model.onnx"), join(dir, "onnx", "model.onnx"));
  await cp(join(source, "preprocessor_config.json"), join(dir, "preprocessor_config.json"));
  const vision = {
    image_size: 64,
    patch_size: 8,
    hidden_size: 128,
    intermediate_size: 512,
    num_hidden_layers: 2,
  };
  await writeFile(join(dir, "config.json"), JSON.stringify(vision));
});
afterAll(() => rm(dir, { recursive: true }));

const host = { baseDir: ".", allowDownload: false, log: () => {} };
const images: RgbImage[] = [10, 20].map((step) => ({
  width: 64,
  height: 64,
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * step) % 251),
}));

it("gives the tokens of a vision transformer, patches and summary apart", async () => {
  const extractor = await visionFeaturesDefinition(dir).create({}, host);
  const twin = await openDualEncoder(await embeddedModelPath("dual-encoder"));
  const [found, expected] = [await extractor.extract(images), await twin.extract(images)];
  expect(found.patches.dims).toEqual([2, 64, expected.patches.dims[2]]);
  expect(found.summary!.dims).toEqual(expected.summary!.dims);
  for (const name of ["patches", "summary"] as const) {
    const difference = found[name]!.data.map((value, at) => Math.abs(value - expected[name]!.data[at]!));
    expect(Math.max(...difference)).toBeLessThan(1e-4);
  }
  await extractor[Symbol.asyncDispose]();
  await twin[Symbol.asyncDispose]();
});

it("is found by its folder, priced by its configuration, and reduced like every other", async () => {
  const config = { model: dir, reduction: "pca", options: {} };
  expect((await featureCost(config, host)).flops).toBeGreaterThan(1e6);
  const source = await openFeatures(config, host);
  const vectors = await source.vectors(images);
  expect(vectors.dims).toEqual([2, 64]);
  await source[Symbol.asyncDispose]();
});

it("says when tokens and patches do not fit", async () => {
  const wrong = join(dir, "wrong");
  await cp(join(dir, "onnx"), join(wrong, "onnx"), { recursive: true });
  await cp(join(dir, "preprocessor_config.json"), join(wrong, "preprocessor_config.json"));
  await writeFile(join(wrong, "config.json"), JSON.stringify({ patch_size: 4 }));
  const extractor = await visionFeaturesDefinition(wrong).create({}, host);
  await expect(extractor.extract(images)).rejects.toThrow(/gives 65 tokens for 256 patches/);
  await extractor[Symbol.asyncDispose]();
  await writeFile(join(wrong, "config.json"), "{}");
  await expect(visionFeaturesDefinition(wrong).create({}, host)).rejects.toThrow(/names no patch_size/);
});
