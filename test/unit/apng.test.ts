import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { expect, it } from "vitest";
import { encodeClip } from "../../src/io/apng.ts";
import { dataOf, readTexts, withTexts } from "../../src/io/png-text.ts";

const frame = (value: number) => ({ width: 8, height: 4, data: new Uint8Array(96).fill(value) });

it("writes clips as animated PNG files, whose first frame any program shows", async () => {
  const clip = await encodeClip([frame(10), frame(20), frame(30)]);
  expect(dataOf(clip, "acTL").readUInt32BE(0)).toBe(3);
  const [controls, frames] = [dataOf(clip, "fcTL"), dataOf(clip, "fdAT")];
  expect(controls.length).toBe(3 * 26);
  // Sequence numbers run through controls and frames alike.
  expect([0, 26, 52].map((at) => controls.readUInt32BE(at))).toEqual([0, 1, 3]);
  expect(frames.readUInt32BE(0)).toBe(2);
  const { data, info } = await sharp(clip).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, data[0]]).toEqual([8, 4, 10]);
  const dir = mkdtempSync(join(tmpdir(), "tts-var-apng-"));
  writeFileSync(join(dir, "clip.png"), withTexts(clip, { prompt: "a red dog" }));
  expect(readTexts(join(dir, "clip.png")).get("prompt")).toBe("a red dog");
  rmSync(dir, { recursive: true });
});
