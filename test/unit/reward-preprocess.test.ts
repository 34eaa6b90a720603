import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import {
  clipTransform,
  fitEightBit,
  hpsTransform,
  type ImageTransform,
  siglipTransform,
  toPixelValues,
} from "../../src/inference/vision/preprocess.ts";
import { formulaImage } from "../fixtures/formula-image.ts";

interface Vector {
  transform: string;
  size: number;
  width: number;
  height: number;
  step: number;
  values: number[];
  sha256: string | null;
}

const vectors: Vector[] = JSON.parse(
  readFileSync(new URL("../fixtures/rewards/images.json", import.meta.url), "utf8"),
);
const transforms: Record<string, ImageTransform> = {
  clip: clipTransform,
  "clip-floor": { ...clipTransform, cropRounding: "floor" },
  siglip: siglipTransform,
  hps: hpsTransform,
};

describe("preprocessing equals the Python originals", () => {
  test.each(vectors)("$transform $size from $width x $height", (vector) => {
    const transform = { ...transforms[vector.transform]!, size: vector.size };
    const image = formulaImage(vector.width, vector.height);
    if (vector.sha256 !== null) {
      const hash = createHash("sha256").update(fitEightBit(image, transform).data).digest("hex");
      expect(hash).toBe(vector.sha256);
    }
    const { data, dims } = toPixelValues([image], transform);
    expect(dims).toEqual([1, 3, vector.size, vector.size]);
    const worst = Math.max(...vector.values.map((value, i) => Math.abs(data[i * vector.step]! - value)));
    expect(worst).toBeLessThan(vector.sha256 === null ? 5e-5 : 1e-6);
  });
});

interface TextVector {
  folder: string;
  length: number;
  prompt: string;
  ids: number[];
  mask: number[];
}

const texts: TextVector[] = JSON.parse(
  readFileSync(new URL("../fixtures/rewards/texts.json", import.meta.url), "utf8"),
);

describe("token ids equal the Python originals, end token kept when cut", () => {
  test.each(texts)("$folder: $prompt", async ({ folder, length, prompt, ids, mask }) => {
    const dir = fileURLToPath(new URL(`../fixtures/models/${folder}`, import.meta.url));
    const used = mask.reduce((sum, bit) => sum + bit, 0);
    const found = (await loadTokenizer(dir, length)).encode(prompt);
    expect(found).toEqual(ids.slice(0, used));
  });
});
