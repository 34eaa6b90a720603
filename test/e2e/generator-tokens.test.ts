import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/core/image.ts";
import { cropToSize, decodePng, encodePng } from "../../src/io/png.ts";
import { runHere } from "./support/run-here.ts";

interface Summary {
  best: { id: string; image: string; pixelHash: string };
  budget: { flops: { total: number; byScale: number[] } };
}

/** Peak signal-to-noise ratio in dB. */
function similarity(a: RgbImage, b: RgbImage): number {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  const error = a.data.reduce((sum, value, at) => sum + (value - b.data[at]!) ** 2, 0) / a.data.length;
  return 10 * Math.log10(255 ** 2 / error);
}

describe("tokens of images", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tokens-"));
  });
  afterAll(async () => rm(dir, { recursive: true, force: true }));

  const search = async (out: string, ...flags: string[]): Promise<Summary> => {
    const { code, stdout, stderr } = await runHere([
      ...[
        "search",
        "-p",
        "a photo of a red cup",
        "--strategy",
        "best-of-n",
        "--sheet",
        "none",
        "--report",
        "none",
        "--json",
      ],
      ...["--out", join(dir, out), ...flags],
    ]);
    expect([code, stderr.includes("error")]).toEqual([0, false]);
    return JSON.parse(stdout) as Summary;
  };

  it("draws an encoded image again, whatever the prompt and seed, and equal parts of it with other ends", async () => {
    const original = await search("original", "--budget", "1", "--seed", "4");
    const encoded = join(dir, "cup.json");
    const { code, stdout } = await runHere(["tokens", original.best.image, "--out", encoded]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/cup\.json {2}64x64 \(1:1\), 6 stages/)]);
    const again = await search("again", "--tokens", encoded, "--budget", "1", "--seed", "9");
    const picture = await decodePng(original.best.image);
    expect(similarity(await decodePng(again.best.image), picture)).toBeGreaterThan(20);
    // As far as all candidates have the same tokens, a stage is computed and charged once.
    const varied = await search("varied", "--tokens", encoded, "--tokens-until", "3", "--budget", "2");
    const { byScale } = varied.budget.flops;
    const { byScale: single } = again.budget.flops;
    expect(byScale.map((flops, stage) => flops / single[stage]!)).toEqual([1, 1, 1, 1, 2, 2]);
  });

  it("scales and crops images of other sizes, and takes a part of them that is centred", async () => {
    const { best } = await search("wide", "--budget", "1");
    const square = await decodePng(best.image);
    const wide: RgbImage = { width: 192, height: 64, data: new Uint8Array(192 * 64 * 3).fill(255) };
    for (let y = 0; y < 64; y++) {
      wide.data.set(square.data.subarray(y * 192, (y + 1) * 192), (y * 192 + 64) * 3);
    }
    expect((await cropToSize(wide, 64, 64)).data).toEqual(square.data);
    await writeFile(join(dir, "wide.png"), await encodePng(wide));
    await writeFile(join(dir, "square.png"), await encodePng(square));
    const files: string[] = [];
    for (const name of ["wide", "square"]) {
      const out = join(dir, `${name}.json`);
      const { code, stdout } = await runHere(["tokens", join(dir, `${name}.png`), "--out", out, "--json"]);
      expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ width: 64, shape: "1:1" })]);
      files.push(await readFile(out, "utf8"));
    }
    expect(files[0]).toBe(files[1]);
  });

  it("says what is wrong: no image, no encoder, no such shape, a file that would be overwritten", async () => {
    const image = join(dir, "square.png");
    const failures: [string[], number, RegExp][] = [
      [["tokens", join(dir, "none.png")], 2, /none\.png: not a readable image/],
      [["tokens", image, "--model", "toy"], 2, /toy has no image encoder/],
      [["tokens", image, "--size", "1M"], 2, /no size 1M; it has 1:1 \(64x64\)/],
      [["tokens", image, "--out", image], 2, /is what this command reads/],
      [["search", "-p", "a cup", "--tokens-until", "2"], 2, /keepUntil needs task\.keep/],
    ];
    for (const [argv, code, message] of failures) {
      const found = await runHere(argv);
      expect([found.code, found.stderr]).toEqual([code, expect.stringMatching(message)]);
    }
  });
});
