import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { decodePng, encodePng } from "../../src/io/png.ts";
import { readTexts, withTexts } from "../../src/io/png-text.ts";
import { readRecipe } from "../../src/run/recipe.ts";

const dir = mkdtempSync(join(tmpdir(), "tts-var-png-"));
afterAll(() => rmSync(dir, { recursive: true }));

const image = { width: 2, height: 1, data: Uint8Array.from([255, 0, 0, 0, 0, 255]) };
const png = await encodePng(image);

function file(bytes: Uint8Array): string {
  const path = join(dir, "x.png");
  writeFileSync(path, bytes);
  return path;
}

describe("texts of PNG files", () => {
  it("come back as written, whatever they hold but NUL, and change no pixel", async () => {
    const texts = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(texts, (text) => {
        const written = withTexts(png, { parameters: text, "tts-var": "{}" });
        const expected = new Map([
          ["parameters", text.replaceAll("\0", "")],
          ["tts-var", "{}"],
        ]);
        expect(readTexts(file(written))).toEqual(expected);
      }),
      { numRuns: 8 },
    );
    expect(await decodePng(withTexts(png, { parameters: "a photo\n\u202e" }))).toEqual(image);
  });

  it("too long to be read are not written, and leave the picture whole", () => {
    expect(withTexts(png, { parameters: "x".repeat(2 << 20) })).toEqual(png);
  });

  it("are those that come first, of equal keywords", () => {
    const twice = withTexts(withTexts(png, { parameters: "later" }), { parameters: "first" });
    expect(readTexts(file(twice)).get("parameters")).toBe("first");
  });

  it.each([
    ["is no PNG", () => Buffer.from("GIF89a and more"), /is no PNG file/],
    ["is empty", () => Buffer.alloc(0), /is no PNG file/],
    ["ends early", () => png.subarray(0, 40), /damaged PNG file/],
    ["claims a chunk of four gigabytes", () => lie(withTexts(png, { a: "b" })), /longer than the file/],
    ["has a text that was changed", () => change(withTexts(png, { a: "text" })), /checksum/],
  ])("are refused where a file %s", (_, bytes, message) => {
    expect(() => readTexts(file(bytes()))).toThrow(message);
  });

  it("are not read where they are compressed, so that no kilobyte becomes a gigabyte", () => {
    const bomb = deflateSync(Buffer.alloc(1 << 20)).toString("latin1");
    const flagged = withTexts(png, { parameters: bomb });
    const start = flagged.indexOf("iTXt");
    const end = start + 4 + flagged.readUInt32BE(start - 4);
    flagged[start + 4 + "parameters".length + 1] = 1;
    flagged.writeUInt32BE(crc32(flagged.subarray(start, end)), end);
    expect(readTexts(file(flagged))).toEqual(new Map());
  });

  it("have to be in a file, not in a folder or nowhere", () => {
    expect(() => readTexts(dir)).toThrow(/is no file/);
    expect(() => readTexts(join(dir, "none.png"))).toThrow(/cannot be read \(ENOENT\)/);
  });
});

describe("recipes in pictures", () => {
  it.each([
    ["no JSON", "{"],
    ["another program's", '{"schemaVersion":1,"program":"other"}'],
    ["a later version's", '{"schemaVersion":2,"program":"tts-var"}'],
    ["a list", "[]"],
    ["a deep one", "[".repeat(100_000)],
  ])("are refused where they are %s", (_, text) => {
    expect(() => readRecipe(file(withTexts(png, { "tts-var": text })))).toThrow(/its recipe cannot be read/);
  });

  it("may be missing", () => {
    expect(readRecipe(file(withTexts(png, { parameters: "a cup\nSteps: 4" })))).toEqual({
      recipe: null,
      parameters: "a cup\nSteps: 4",
    });
  });
});

function lie(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(0xffffffff, bytes.indexOf("iTXt") - 4);
  return bytes;
}

function change(bytes: Buffer): Buffer {
  bytes.write("T", bytes.indexOf("text"));
  return bytes;
}
