import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runHere } from "./support/run-here.ts";

type Manifest = {
  architecture: Record<string, number>;
  image: Record<string, number>;
  codeMagnitude: number[][];
  schedules: { rope: { x: number[][] } }[];
};

let dir: string;
let original: string;
beforeAll(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "tts-var-verify-")), "generator");
  await cp("models/generator", dir, { recursive: true });
  original = await readFile(join(dir, "manifest.json"), "utf8");
});
afterAll(() => rm(join(dir, ".."), { recursive: true }));

async function verifyWith(change: (manifest: Manifest) => void, ...flags: string[]) {
  const manifest = JSON.parse(original) as Manifest;
  change(manifest);
  await writeFile(join(dir, "manifest.json"), JSON.stringify(manifest));
  return runHere(["models", "verify", dir, ...flags]);
}

describe("models verify", { timeout: 240_000 }, () => {
  it("says what it compared, and what it did not", async () => {
    const { code, stdout } = await verifyWith(() => undefined);
    expect([code, stdout]).toEqual([
      0,
      "ok  generator 1.0.0  10 files  generator@81884e05103bfa8a  hashes only; --deep also uses the model\n",
    ]);
  });

  it("--deep uses every kind of embedded model once", async () => {
    const { code, stdout } = await runHere(["models", "verify", "--deep", "--json"]);
    expect(code).toBe(0);
    const rows: { name: string; used: string }[] = JSON.parse(stdout);
    expect(rows.map(({ name, used }) => `${name}: ${used.replace(/[\d.]+ s/, "T")}`)).toEqual([
      expect.stringMatching(/^acdit: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^detector-a: .* geneval \d/),
      expect.stringMatching(/^detector-b: .* geneval \d/),
      expect.stringMatching(/^dual-encoder: .* clip -?\d/),
      expect.stringMatching(/^dual-encoder-int8: .* clip -?\d/),
      expect.stringMatching(/^embedded-int8: 64 x 64 pixels in T, clip \d/),
      expect.stringMatching(/^epona: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^far: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^flexvar: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^generator: 64 x 64 pixels in T, clip \d/),
      expect.stringMatching(/^hmar: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^mar: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^nanodet: .* geneval \d/),
      expect.stringMatching(/^nar: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^small: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^tokenbridge: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^var: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^varedit: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^vq-ddm: 64 x 64 pixels in T, clip -?\d/),
      expect.stringMatching(/^xar: 64 x 64 pixels in T, clip -?\d/),
    ]);
  });

  it.each<[string, (manifest: Manifest) => void, RegExp]>([
    ["depth", ({ architecture }) => (architecture["depth"] = 4), /step\.onnx: input past_k_4 is missing/],
    ["heads", ({ architecture }) => (architecture["heads"] = 8), /input rope_cos must have the shape/],
    [
      "width",
      ({ architecture }) => (architecture["embedDim"] = 512),
      /input (x_add|rope_cos) must have the shape/,
    ],
    [
      "text",
      ({ architecture }) => (architecture["textChannels"] = 64),
      /input text_states must have the shape/,
    ],
    ["size", ({ image }) => (image["stride"] = 16), /128 x 128 pixels, but draws 64 x 64/],
  ])("--deep refuses a %s that the graphs contradict", async (_, change, reason) => {
    const { code, stderr } = await verifyWith(change, "--deep");
    expect([code, stderr]).toEqual([3, expect.stringMatching(reason)]);
  });

  it("gives folders that draw other pixels other identities", async () => {
    const ids = new Set<string>();
    for (const change of [
      () => undefined,
      ({ codeMagnitude }: Manifest) => (codeMagnitude[0]![0] = 0.2),
      ({ schedules }: Manifest) => (schedules[0]!.rope.x[1]![1] = 9),
      ({ architecture }: Manifest) => (architecture["textMaxLength"] = 16),
    ]) {
      const { code, stdout } = await verifyWith(change, "--json");
      expect(code).toBe(0);
      ids.add(JSON.parse(stdout)[0].modelId);
    }
    expect(ids.size).toBe(4);
  });
});
