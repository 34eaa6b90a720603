import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rename, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pixelHash, type RgbImage } from "../../src/core/image.ts";
import type { SampleRequest, Sampler } from "../../src/core/sampler.ts";
import { loadTokenizer } from "../../src/models/tokenizer.ts";
import { infinityDefinition } from "../../src/samplers/infinity/definition.ts";
import { loadInfinity, openStageModel } from "../../src/samplers/infinity/sampler.ts";
import type { InfinityState } from "../../src/samplers/infinity/stage-graph.ts";
import { describeSampler } from "../../src/testing/sampler-contract.ts";
import { runHere } from "./support/run-here.ts";

// Written by the exporter of official checkpoints with random weights: test/fixtures/infinity/make_tiny_models.py
const folder = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));
const int4 = folder("infinity-tiny");
const patchify = folder("infinity-tiny-patchify");

interface Parity {
  schedule: string;
  prompt: string;
  negativePrompt: string;
  limit: number;
  texts: { text: string; ids: number[] }[];
  arrays: Record<string, { dtype: "float32" | "uint8"; shape: number[]; offset: number }>;
}
const fixtures = new URL("../fixtures/infinity/", import.meta.url);
const parity = JSON.parse(readFileSync(new URL("parity.json", fixtures), "utf8")) as Parity;
const bytes = readFileSync(new URL("parity.bin", fixtures));

function recorded(name: string): Float32Array | Uint8Array {
  const { dtype, shape, offset } = parity.arrays[name]!;
  const size = shape.reduce((product, dim) => product * dim, 1);
  const data = new Uint8Array(bytes.subarray(offset, offset + size * (dtype === "uint8" ? 1 : 4)));
  return dtype === "uint8" ? data : new Float32Array(data.buffer);
}

function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let most = 0;
  for (let at = 0; at < found.length; at++) most = Math.max(most, Math.abs(found[at]! - expected[at]!));
  return most;
}

const prompts = ["a photo of a dog", "a photo of two red cars"] as const;
describeSampler("exported folder, int4", () => infinityDefinition(int4).open(), { prompts });
describeSampler(
  "exported folder, patchified, 1:3",
  () => loadInfinity(patchify, { shape: { ratio: "1:3" }, threads: 1 }),
  { prompts },
);

describe("exported folder against PyTorch", () => {
  it("tokenizes as the reference does, with the end token kept when a text is cut", async () => {
    const tokenizer = await loadTokenizer(patchify, parity.limit);
    for (const { text, ids } of parity.texts) expect(tokenizer.encode(text)).toEqual(ids);
    expect(parity.texts.at(-1)!.ids).toHaveLength(parity.limit);
    expect(tokenizer.unknown).toBe(2);
  });

  it("computes the same logits, codes and image for given bits: non-square, patchified, negative prompt", async () => {
    const shape = { schedule: parity.schedule };
    const { model, code, description, close } = await openStageModel(patchify, { shape });
    const { prompt, negativePrompt } = parity;
    const request = { prompt, negativePrompt, seed: 0, ids: ["c0"], settings: description.defaults };
    let state: InfinityState = await model.begin(request);
    let latent: Float32Array | null = null;
    for (const { index: stage } of description.scales) {
      const data = new Float32Array(code.tokens(stage) * code.tokenChannels);
      if (latent) code.input(latent, stage, data);
      const z = latent ? { dims: [1, code.tokens(stage), code.tokenChannels], data } : null;
      const output = await model.run(state, { stage, width: 1, z, guided: true });
      state = output.state;
      expect(worst(output.delta.data, recorded(`delta_${stage}`))).toBeLessThan(1e-4);
      latent = code.add(latent, recorded(`bits_${stage}`) as Uint8Array, stage);
    }
    expect(worst(latent!, recorded("latent"))).toBeLessThan(1e-5);
    await close();
  });

  it("decodes the same image, and encodes an image to bits that are the latent's signs", async () => {
    const sampler = await loadInfinity(patchify, { shape: { schedule: parity.schedule } });
    const { height, width } = size(sampler);
    const forcedBits = sampler.scales.map(({ index }) => recorded(`bits_${index}`) as Uint8Array);
    const settings = sampler.defaults;
    const session = await sampler.start({
      prompt: parity.prompt,
      seed: 0,
      ids: ["c0"],
      settings,
      forcedBits,
    });
    while (session.stage < sampler.scales.length) await session.step();
    const [image] = await session.decode([0]);
    expect([image!.width, image!.height]).toEqual([width, height]);
    expect(worst(image!.data, recorded("image"))).toBeLessThanOrEqual(1);
    const picture: RgbImage = { width, height, data: recorded("picture") as Uint8Array };
    const bits = await sampler.encode!(picture);
    // At the first scale nothing is known yet: its bits are the signs of the features' means, patch by patch.
    const features = recorded("features");
    const [, channels, h, w] = parity.arrays["features"]!.shape as [number, number, number, number];
    const means = Array.from({ length: channels * 4 }, (_, index) => {
      const [channel, dy, dx] = [Math.floor(index / 4), Math.floor((index % 4) / 2), index % 2];
      let sum = 0;
      for (let y = (dy * h) / 2; y < ((dy + 1) * h) / 2; y++) {
        for (let x = (dx * w) / 2; x < ((dx + 1) * w) / 2; x++) sum += features[(channel * h + y) * w + x]!;
      }
      return sum > 0 ? 1 : 0;
    });
    expect([...bits[0]!]).toEqual(means);
    await sampler[Symbol.asyncDispose]();
  });
});

describe("memory", () => {
  const request = (sampler: Sampler, ids: string[]): SampleRequest => ({
    prompt: "a photo of a cup",
    seed: 1,
    ids,
    settings: sampler.defaults,
  });

  it("gives equal bits and pixels however a population is split into blocks", async () => {
    const ids = ["c0", "c1", "c2", "c3", "c4"];
    const results: string[] = [];
    for (const rowsAtOnce of [undefined, [1, 1, 2, 3, 1, 4, 2]]) {
      const sampler = await loadInfinity(patchify, {
        shape: { ratio: "3:2" },
        ...(rowsAtOnce ? { rowsAtOnce } : {}),
      });
      const session = await sampler.start(request(sampler, ids));
      while (session.stage < sampler.scales.length) {
        await session.step();
        if (session.stage === 3) {
          await session.select([4, 2, 2].map((parent, row) => ({ parent, id: `d${row}` })));
        }
      }
      const images = await session.decode([0, 1, 2]);
      const bits = await Promise.all([0, 1, 2].map((row) => session.bits(row)));
      results.push(JSON.stringify([images.map(pixelHash), bits.flat().map((scale) => scale.join(""))]));
      await sampler[Symbol.asyncDispose]();
    }
    expect(results[1]).toBe(results[0]);
  });
});

describe("exported folder on the command line", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "exported-"));
  });
  afterAll(async () => rm(dir, { recursive: true, force: true }));

  it("draws at a ratio, splits what does not fit, and says both before it begins", async () => {
    const flags = [
      "search",
      "-p",
      "a red cup",
      "--model",
      int4,
      "--ratio",
      "16:9",
      "--budget",
      "6",
      "--json",
    ];
    const plain = await runHere([...flags, "--strategy", "best-of-n", "--out", join(dir, "a")]);
    expect(plain.stderr).toMatch(/84x48 pixels \(7:4@0\.06M\), memory at most \d+ MiB of/);
    const tight = await runHere([
      ...flags,
      "--strategy",
      "best-of-n",
      "--out",
      join(dir, "b"),
      "--max-memory",
      "21MiB",
    ]);
    expect(tight.stderr).toMatch(/of 21 MiB; scales in blocks of candidates: .*6 by [1-3]/);
    expect(tight.code).toBe(0);
    const hashes = ({ stdout }: { stdout: string }) =>
      (JSON.parse(stdout) as { candidates: { pixelHash: string }[] }).candidates.map((c) => c.pixelHash);
    expect(hashes(tight)).toEqual(hashes(plain));
    const refused = await runHere([...flags, "--strategy", "best-of-n", "--max-memory", "5MiB"]);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(/needs about \d+ MiB .* but 5 MiB are allowed/);
  });

  it("lists the shapes of the model when it has not the one that was asked for", async () => {
    const { code, stderr } = await runHere(["plan", "--model", int4, "--size", "1M"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/this model has no size 1M; it has 1:1@0\.06M \(64x64\), 4:5@0\.06M \(64x80\)/);
  });

  it("draws an image again from its bits, and varies it from a scale on", async () => {
    const flags = ["search", "-p", "a red cup", "--model", patchify, "--strategy", "best-of-n", "--json"];
    const parse = ({ stdout }: { stdout: string }) =>
      JSON.parse(stdout) as { best: { id: string; pixelHash: string }; candidates: { pixelHash: string }[] };
    const first = parse(
      await runHere([...flags, "--ratio", "3:4", "--budget", "2", "--out", join(dir, "first")]),
    );
    const file = join(dir, "first", "bits", `${first.best.id}.json`);
    const again = parse(
      await runHere([...flags, "--bits", file, "--seed", "9", "--budget", "1", "--out", join(dir, "again")]),
    );
    expect(again.best.pixelHash).toBe(first.best.pixelHash);
    const varied = parse(
      await runHere([
        ...flags,
        "--bits",
        file,
        "--bits-until",
        "5",
        "--seed",
        "5",
        "--budget",
        "2",
        "--out",
        join(dir, "v"),
      ]),
    );
    const seen = new Set([first.best, ...varied.candidates].map(({ pixelHash: hash }) => hash));
    expect(seen.size).toBe(varied.candidates.length + 1);
    const kept = JSON.parse(await readFile(join(dir, "v", "bits", "c1.json"), "utf8")) as {
      scales: unknown[];
    };
    const given = JSON.parse(await readFile(file, "utf8")) as { scales: unknown[] };
    expect(kept.scales.slice(0, 5)).toEqual(given.scales.slice(0, 5));
    expect(kept.scales[5]).not.toEqual(given.scales[5]);
    const wrong = await runHere([...flags, "--bits", file, "--ratio", "1:1"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/scale \d is .* but infinity-tiny-patchify at 1:1@0\.06M has .*3:4@0\.06M/);
  });

  it("names the file of weights that is cut or missing, and folders that are not complete", async () => {
    expect((await runHere(["models", "verify", int4, patchify])).stdout).toMatch(/ok {2}infinity-tiny /);
    const copy = join(dir, "copy");
    await cp(patchify, copy, { recursive: true });
    await truncate(join(copy, "text_encoder.onnx.data"), 1000);
    const cut = await runHere(["search", "-p", "a cup", "--model", copy]);
    expect(cut.code).toBe(3);
    expect(cut.stderr).toMatch(
      /text_encoder\.onnx\.data has 1000 bytes, but its manifest says \d+ \(a trunc/,
    );
    await rm(join(copy, "text_encoder.onnx.data"));
    const missing = await runHere(["models", "verify", copy]);
    expect(missing.code).toBe(3);
    expect(missing.stderr).toMatch(/text_encoder\.onnx\.data is missing; .*export it again/);
    await rm(join(copy, "manifest.json"));
    expect((await runHere(["plan", "--model", copy])).stderr).toMatch(/graphs but no manifest\.json.*export/);
    const partial = join(dir, ".copy.partial-77");
    await rename(copy, partial);
    expect((await runHere(["plan", "--model", partial])).stderr).toMatch(/export did not finish; delete it/);
  });
});

function size({ latent, pixelsPerLatent }: Sampler): { width: number; height: number } {
  return { width: latent.w * pixelsPerLatent, height: latent.h * pixelsPerLatent };
}
