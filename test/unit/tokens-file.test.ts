import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GeneratorTraits } from "../../src/generators/definition.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { bitsFor, packBits, readBitsFile } from "../../src/generators/tokens-file.ts";

describe("bits file", () => {
  let dir: string;
  let toy: GeneratorTraits;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "bits-"));
    toy = await toyDefinition.describe();
  });
  afterAll(() => rm(dir, { recursive: true }));

  const path = () => join(dir, "bits.json");
  const blank = () => toy.scales.map(({ h, w }) => new Uint8Array(h * w * toy.bitsPerToken!));
  const written = async (content: unknown) => {
    await writeFile(path(), JSON.stringify(content));
    return readBitsFile(path());
  };

  it("gives back the bits that were written, whatever they are and however many scales", async () => {
    const bits = fc.tuple(
      ...blank().map(({ length }) => fc.uint8Array({ min: 0, max: 1, minLength: length, maxLength: length })),
    );
    await fc.assert(
      fc.asyncProperty(bits, fc.integer({ min: 1, max: 4 }), async (all, count) => {
        const file = await written(packBits(toy, all.slice(0, count)));
        expect(bitsFor(toy, file, "bits.json")).toEqual(all.slice(0, count));
        expect(bitsFor(toy, file, "bits.json", 1)).toEqual(all.slice(0, 1));
      }),
      { numRuns: 20 },
    );
  });

  it("packs the first bit highest, so that the file can be read elsewhere", () => {
    const bits = blank();
    bits[1]!.set([1, 0, 1, 0, 0, 0, 0, 1, 1]);
    const { scales } = packBits(toy, bits);
    expect([...Buffer.from(scales[1]!.bits, "base64")]).toEqual([0b10100001, 0b10000000]);
    expect(scales[1]).toMatchObject({ h: 2, w: 2, bitsPerToken: 3 });
  });

  it("says what is wrong with a file that is none", async () => {
    await expect(readBitsFile(join(dir, "none.json"))).rejects.toThrow(
      /cannot read the bits .*ENOENT.*tts-var bits/,
    );
    await writeFile(path(), "{");
    await expect(readBitsFile(path())).rejects.toThrow(/no bits file: it is not valid JSON/);
    const good = packBits(toy, blank());
    const spoiled = { ...good.scales[2]!, bits: good.scales[1]!.bits };
    await expect(written({ ...good, scales: [...good.scales.slice(0, 2), spoiled] })).rejects.toThrow(
      /has not as many bits as h, w and bitsPerToken say[\s\S]*scales\[2\]\.bits/,
    );
    await expect(written({ ...good, format: "other" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(written({ ...good, scales: [] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it("refuses bits of another shape or model, and a range that the file does not have", () => {
    const file = packBits(toy, blank());
    const wider = { ...toy, bitsPerToken: 4 };
    expect(() => bitsFor(wider, file, "b.json")).toThrow(
      /b\.json: scale 0 is 1x1 with 3 bits per token, but toy at 1:1 has 1x1 with 4/,
    );
    const shorter = { ...toy, scales: toy.scales.slice(0, 2) };
    expect(() => bitsFor(shorter, file, "b.json")).toThrow(/has bits of 4 scales, but toy has 2/);
    expect(() => bitsFor(toy, file, "b.json", 5)).toThrow(/bitsUntil is 5; at most 4/);
  });
});
