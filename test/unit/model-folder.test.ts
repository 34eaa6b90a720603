import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listedFiles } from "../../src/inference/folder/model-files.ts";
import {
  embeddedModelPath,
  listEmbeddedModels,
  modelFile,
  openModelFolder,
} from "../../src/inference/folder/model-folder.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("openModelFolder", () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), "model-"));
    await mkdir(join(dir, "onnx"));
    await writeFile(join(dir, "onnx/model.onnx"), "weights");
    await writeFile(join(dir, "config.json"), "{}");
    await writeFile(
      join(dir, "manifest.json"),
      JSON.stringify({
        schemaVersion: 1,
        name: "small",
        version: "1.0.0",
        kind: "detector",
        files: {
          "onnx/model.onnx": { sha256: sha256("weights"), bytes: 7 },
          "config.json": { sha256: sha256("{}"), bytes: 2 },
        },
      }),
    );
  });
  afterEach(() => rm(dir, { recursive: true }));

  it("accepts files that are what the manifest says", async () => {
    const folder = await openModelFolder(dir);
    expect(folder).toMatchObject({ name: "small", version: "1.0.0", kind: "detector" });
    expect(folder.files.map((file) => file.path)).toEqual(["config.json", "onnx/model.onnx"]);
    expect(folder.modelId).toMatch(/^small@[0-9a-f]{16}$/);
  });

  it("names file, expected and found hash when a byte is another", async () => {
    await openModelFolder(dir);
    await writeFile(join(dir, "onnx/model.onnx"), "Weights");
    const opened = openModelFolder(dir);
    await expect(opened).rejects.toMatchObject({ code: "MODEL_INVALID", exitCode: 3 });
    await expect(opened).rejects.toThrow(/model\.onnx has SHA-256/);
    await expect(opened).rejects.toThrow(sha256("weights"));
    await expect(opened).rejects.toThrow(sha256("Weights"));
    await expect(opened).rejects.toThrow(/copy the model folder again/);
  });

  it("sees a truncated copy by its size", async () => {
    await truncate(join(dir, "onnx/model.onnx"), 3);
    await expect(openModelFolder(dir)).rejects.toThrow(
      /has 3 bytes, but its manifest says 7 \(a truncated copy\?\)/,
    );
  });

  it("says which file is missing", async () => {
    await rm(join(dir, "config.json"));
    await expect(openModelFolder(dir)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    await expect(openModelFolder(dir)).rejects.toThrow(/config\.json is missing/);
  });

  it("takes a file of another model where the manifest says so, and only as it was", async () => {
    const shared = async (entry: object): Promise<void> => {
      const manifest = JSON.parse(await readFile(join(dir, "manifest.json"), "utf8"));
      await writeFile(join(dir, "manifest.json"), JSON.stringify({ ...manifest, graphs: { decode: entry } }));
    };
    const home = await openModelFolder(await embeddedModelPath("generator"), { verify: false });
    const decoder = home.files.find(({ path }) => path === "vae_decode.onnx")!;
    const entry = { file: decoder.path, sha256: decoder.sha256, of: "generator" };
    await shared(entry);
    const { files } = await openModelFolder(dir);
    expect(files).toContainEqual({ path: decoder.path, sha256: decoder.sha256, of: "generator" });
    expect(await modelFile(dir, entry)).toBe(join(home.dir, decoder.path));
    await shared({ ...entry, sha256: sha256("another") });
    await expect(openModelFolder(dir)).rejects.toThrow(/SHA-256.*the model shares this file of generator/);
    await shared({ ...entry, of: "nobody" });
    await expect(openModelFolder(dir)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    await expect(openModelFolder(dir)).rejects.toThrow(
      /takes vae_decode\.onnx from the model nobody, which is not here/,
    );
    // A copy beside it would be a file that nobody vouches for.
    await shared(entry);
    await writeFile(join(dir, "vae_decode.onnx"), "another");
    await expect(openModelFolder(dir)).rejects.toThrow(/does not list vae_decode\.onnx/);
  });

  it("explains broken manifests", async () => {
    await writeFile(join(dir, "manifest.json"), "{");
    await expect(openModelFolder(dir)).rejects.toThrow(/manifest\.json is not valid JSON/);
    await writeFile(join(dir, "manifest.json"), JSON.stringify({ schemaVersion: 2, name: "small" }));
    await expect(openModelFolder(dir)).rejects.toThrow(/schemaVersion[\s\S]*version/);
    await writeFile(
      join(dir, "manifest.json"),
      JSON.stringify({ schemaVersion: 1, name: "small", version: "1", files: { "../x": sha256("") } }),
    );
    await expect(openModelFolder(dir)).rejects.toThrow(/outside the model folder/);
  });

  it("has an identity that covers every value of the manifest that can change a result, and no note", async () => {
    const path = join(dir, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8"));
    const idWith = async (change: object): Promise<string> => {
      await writeFile(path, JSON.stringify({ ...manifest, ...change }));
      return (await openModelFolder(dir)).modelId;
    };
    const plain = await idWith({});
    for (const note of [{ card: "card.md" }, { training: { step: 1 } }, { license: "MIT" }])
      expect(await idWith(note)).toBe(plain);
    const changed = [plain];
    for (const change of [
      { codeMagnitude: [[0.1]] },
      { codeMagnitude: [[0.2]] },
      { architecture: { textMaxLength: 16 } },
      { schedules: [{ rope: { x: [[0, 1]] } }] },
      { flops: { image: 1 } },
      { version: "1.0.1" },
    ]) {
      changed.push(await idWith(change));
    }
    expect(new Set(changed).size).toBe(changed.length);
    const reordered = Object.fromEntries(Object.entries(manifest).reverse());
    await writeFile(path, JSON.stringify(reordered, null, 4));
    expect((await openModelFolder(dir)).modelId, "layout is no value").toBe(plain);
  });

  it("refuses a manifest that lists only some of the files, or one under another name", async () => {
    for (const stray of ["tokenizer.json", "onnx/model.onnx_data", "weights"]) {
      await writeFile(join(dir, stray), "unseen");
      await expect(openModelFolder(dir, { verify: false })).rejects.toMatchObject({
        code: "MODEL_INVALID",
        message: expect.stringMatching(
          new RegExp(`does not list ${stray}; it must give the SHA-256 of every file`),
        ),
      });
      await rm(join(dir, stray));
    }
    for (const note of ["card.md", "samples.png", "evaluation.json", "LICENSE", ".gitattributes"])
      await writeFile(join(dir, note), "a note");
    await openModelFolder(dir);
    await rename(join(dir, "config.json"), join(dir, "konfig.json"));
    const path = join(dir, "manifest.json");
    const text = (await readFile(path, "utf8")).replace("config.json", "konfig.json");
    await writeFile(path, text);
    await writeFile(join(dir, "config.json"), '{"other": true}');
    await expect(openModelFolder(dir)).rejects.toThrow(/does not list config\.json/);
  });

  it("recognises what Git leaves where Git LFS did not fetch a file", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256("weights")}\nsize 7\n`;
    await writeFile(join(dir, "onnx/model.onnx"), pointer);
    const lfs = {
      code: "MODEL_INVALID",
      message: expect.stringMatching(/is a Git LFS pointer.*git lfs pull/),
    };
    await expect(openModelFolder(dir)).rejects.toMatchObject(lfs);
    await rm(join(dir, "manifest.json"));
    await expect(openModelFolder(dir, { allowBare: true })).rejects.toMatchObject(lfs);
  });

  it("says what a folder from a hub lacks", async () => {
    await rm(join(dir, "manifest.json"));
    await rm(join(dir, "config.json"));
    await expect(openModelFolder(dir, { allowBare: true })).rejects.toThrow(/config\.json is missing/);
    await expect(openModelFolder(dir)).rejects.toThrow(/manifest\.json/);
  });

  it("takes folders without a manifest only when asked to, and then by their content", async () => {
    await rm(join(dir, "manifest.json"));
    await expect(openModelFolder(dir)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
    const before = (await openModelFolder(dir, { allowBare: true })).modelId;
    await writeFile(join(dir, "onnx/model.onnx"), "others!");
    expect((await openModelFolder(dir, { allowBare: true })).modelId).not.toBe(before);
  });
});

describe("listedFiles", () => {
  it("finds files wherever a manifest puts them", () => {
    const manifest = {
      graphs: { step: { file: "step.onnx", sha256: "a", bytes: 1 } },
      sidecar: { file: "weights.bin", sha256: "b", tensors: { x: { offset: 0 } } },
      tokenizer: { files: { "tokenizer.json": "c" } },
    };
    expect(listedFiles(manifest)).toEqual([
      { path: "step.onnx", sha256: "a", bytes: 1 },
      { path: "tokenizer.json", sha256: "c" },
      { path: "weights.bin", sha256: "b" },
    ]);
  });
});

describe("the embedded models", () => {
  it("keep the identities that calibrations and tables name", async () => {
    expect((await listEmbeddedModels()).map(({ modelId }) => modelId)).toEqual([
      "acdit@36500c72840f9f0d",
      "detector-a@ec0f0b80213b7974",
      "detector-b@6db817da63081cda",
      "dual-encoder@ec0021b419194711",
      "dual-encoder-int8@22dcbd83bec2f561",
      "embedded-int8@4545155757770085",
      "epona@1767fbc61fbebc16",
      "far@d023017cb8997c74",
      "flexvar@42958677e1924725",
      "generator@81884e05103bfa8a",
      "hmar@20ad105ad236ce77",
      "mar@58a5c9e1e5b0fa9a",
      "nanodet@b6eb989e68f8527e",
      "nar@fd7339b4c7efa841",
      "small@0ebdeba470cddb31",
      "tokenbridge@33479e3f1db00867",
      "var@2e04140be46cc60d",
      "varedit@6a75198f9e3ea2af",
      "vq-ddm@4ba6310ccb37e0f5",
      "xar@495550ffa17b0aff",
    ]);
  });
});

describe("embeddedModelPath", () => {
  it("suggests the nearest name", async () => {
    await expect(embeddedModelPath("generater")).rejects.toThrow(/did you mean "generator"/);
    await expect(embeddedModelPath("../src")).rejects.toMatchObject({ code: "PLUGIN_UNKNOWN" });
  });
});
