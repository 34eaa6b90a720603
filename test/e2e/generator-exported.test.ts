import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rename, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW } from "../../src/core/generator.ts";
import { framesHash } from "../../src/core/image.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { loadInfinity, openNetwork } from "../../src/generators/next-scale/infinity/open.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";
import {
  expectGolden,
  type GoldenCase,
  type Read,
  type Recording,
  reader,
  rowsOf,
  tokensOf,
  worst,
} from "./support/golden.ts";
import { runHere } from "./support/run-here.ts";

// Folders that the exporter of official checkpoints wrote, with random weights: training/ttsvar/infinity/official/golden.py and
// test/fixtures/infinity/make_exported.py.
const models = new URL("../fixtures/models/", import.meta.url);
const folder = (name: string) => fileURLToPath(new URL(name, models));
const int4 = folder("infinity-exported");
const patchify = folder("infinity-tiny/patchify");

interface Official extends Recording {
  readonly cases: readonly (GoldenCase & { name: string; model: string; schedule: string })[];
}
const official = new URL("infinity-tiny/", models);
const golden = JSON.parse(readFileSync(new URL("golden.json", official), "utf8")) as Official;
const recorded = reader(official, golden);
const t5 = JSON.parse(readFileSync(new URL("../fixtures/infinity/t5.json", import.meta.url), "utf8")) as {
  limit: number;
  texts: { text: string; ids: number[] }[];
};

const prompts = ["a photo of a dog", "a photo of two red cars"] as const;
const otherSettings = { guidance: 1 };
describeSampler("exported folder, int4", () => infinityDefinition(int4).open(), { prompts, otherSettings });
describeSampler(
  "exported folder, patchified, 1:3",
  () => loadInfinity(patchify, { shape: { ratio: "1:3" } }, { threads: 1 }),
  { prompts, otherSettings },
);

describe("exported folder against PyTorch", () => {
  it("tokenizes as the reference does, with the end token kept when a text is cut", async () => {
    const tokenizer = await loadTokenizer(int4, t5.limit);
    for (const { text, ids } of t5.texts) expect(tokenizer.encode(text)).toEqual(ids);
    expect(t5.texts.at(-1)!.ids).toHaveLength(t5.limit);
    expect(tokenizer.unknown).toBe(2);
  });

  for (const { name, model, schedule, ...rest } of golden.cases) {
    it(`computes the same inputs, logits, codes and images: ${name}, ${schedule}`, async () => {
      const dir = folder(`infinity-tiny/${model}`);
      const shape = { id: schedule };
      const read: Read = (array) => recorded(`${name}/${array}`);
      const open = await openNetwork(dir, shape);
      // The quantised folder rounds activations of its products too.
      const delta = open.model.folder.name === "patchify" ? 2e-3 : 1e-4;
      await expectGolden(open, rest, read, { delta, code: 1e-5 });
      await open.close();
      const generator = await loadInfinity(dir, { shape });
      for (const [row, expected] of rowsOf(read("image"), rest.keep.candidates.length).entries()) {
        const { traits } = generator;
        const keep = tokensOf(read, rest, row, traits);
        const session = await generator.start({ prompt: rest.prompt, seed: 0, keep }, ["c0"]);
        while (session.stage < traits.stages.length) await session.step();
        const [picture] = await session.view([0], FULL_VIEW);
        const [image] = picture!.frames;
        expect([image.width, image.height]).toEqual([traits.shape.width, traits.shape.height]);
        expect(worst(image.data, expected)).toBeLessThanOrEqual(1);
      }
      await generator[Symbol.asyncDispose]();
    });
  }
});

describe("memory", () => {
  it("gives equal bits and pixels however a population is split into blocks", async () => {
    const ids = ["c0", "c1", "c2", "c3", "c4"];
    const results: string[] = [];
    for (const rowsAtOnce of [undefined, [1, 1, 2, 3, 1, 4, 2]]) {
      const shape = { ratio: "3:2" };
      const generator = await loadInfinity(patchify, { shape }, rowsAtOnce ? { rowsAtOnce } : {});
      const { stages } = generator.traits;
      const session = await generator.start({ prompt: "a photo of a cup", seed: 1 }, ids);
      while (session.stage < stages.length) {
        await session.step();
        if (session.stage === 3) {
          await session.select([4, 2, 2].map((parent, row) => ({ parent, id: `d${row}` })));
        }
      }
      const pictures = await session.view([0, 1, 2], FULL_VIEW);
      const tokens = await Promise.all(stages.map(({ index }) => session.tokens([0, 1, 2], index)));
      const hashes = pictures.map(({ frames }) => framesHash(frames));
      results.push(JSON.stringify([hashes, tokens.flat().map(({ data }) => data.join(""))]));
      await generator[Symbol.asyncDispose]();
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
      "61MiB",
    ]);
    expect(tight.stderr).toMatch(/of 61 MiB; scales in blocks of candidates: .*6 by [1-3]/);
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

  it("draws an image again from its tokens, and varies it from a stage on", async () => {
    const flags = ["search", "-p", "a red cup", "--model", patchify, "--strategy", "best-of-n", "--json"];
    const parse = ({ stdout }: { stdout: string }) =>
      JSON.parse(stdout) as { best: { id: string; pixelHash: string }; candidates: { pixelHash: string }[] };
    const first = parse(
      await runHere([...flags, "--ratio", "3:4", "--budget", "2", "--out", join(dir, "first")]),
    );
    const file = join(dir, "first", "tokens", `${first.best.id}.json`);
    const again = parse(
      await runHere([
        ...flags,
        "--tokens",
        file,
        "--seed",
        "9",
        "--budget",
        "1",
        "--out",
        join(dir, "again"),
      ]),
    );
    expect(again.best.pixelHash).toBe(first.best.pixelHash);
    const varied = parse(
      await runHere([
        ...flags,
        "--tokens",
        file,
        "--tokens-until",
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
    const kept = JSON.parse(await readFile(join(dir, "v", "tokens", "c1.json"), "utf8")) as {
      stages: unknown[];
    };
    const given = JSON.parse(await readFile(file, "utf8")) as { stages: unknown[] };
    expect(kept.stages.slice(0, 5)).toEqual(given.stages.slice(0, 5));
    expect(kept.stages[5]).not.toEqual(given.stages[5]);
    const wrong = await runHere([...flags, "--tokens", file, "--ratio", "1:1"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/stage \d is .* but patchify at 1:1@0\.06M has .*3:4@0\.06M/);
  });

  it("names the file of weights that is cut or missing, and folders that are not complete", async () => {
    expect((await runHere(["models", "verify", int4, patchify])).stdout).toMatch(
      /ok {2}infinity-exported [\s\S]*ok {2}patchify /,
    );
    const copy = join(dir, "copy");
    await cp(int4, copy, { recursive: true });
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
