import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planConfig } from "../../src/assemble/open-search.ts";
import { loadConfigFile } from "../../src/config/load.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";

// The official square schedule and the published sizes of the models; costs of reference section 9.
const SIDES = [1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64];
const SIZES = { "0.06M": 7, "0.25M": 10, "0.60M": 12, "1M": 13 };
const TERA = 1e12;
const GIB = 2 ** 30;
const file = (bytes: number) => ({ file: `${bytes}.onnx`, sha256: "0".repeat(64), bytes });

interface Shape {
  readonly depth: number;
  readonly embedDim: number;
  readonly heads: number;
  readonly patchify?: boolean;
}

function manifest({ depth, embedDim, heads, patchify = false }: Shape) {
  const codeChannels = patchify ? 14 : 32;
  const tensor = { dtype: "float32", shape: [1], offset: 0 };
  return {
    schemaVersion: 1,
    name: "infinity",
    version: "1",
    family: "infinity",
    dtype: "int8",
    attention: "blockwise",
    image: { size: 256, channels: 3, stride: patchify ? 8 : 16 },
    architecture: {
      depth,
      embedDim,
      heads,
      ffnHidden: 4 * embedDim,
      textChannels: 2048,
      textMaxLength: 512,
      codeChannels,
      tokenChannels: codeChannels * (patchify ? 4 : 1),
      patchify,
    },
    schedules: Object.entries(SIZES).map(([pn, count]) => {
      const sides = SIDES.slice(0, count);
      const positions = sides.map((side) => Array.from({ length: side }, (_, index) => index));
      return {
        id: `1:1@${pn}`,
        ratio: 1,
        pn,
        scales: sides.map((side) => [side, side]),
        rope: { y: positions, x: positions },
      };
    }),
    sampling: { guidance: [3], temperature: [0.5], topP: 0.97 },
    graphs: {
      text_encoder: file(1.3e9),
      condition: file(0.3e9),
      step: file(2e9),
      vae_decode: file(0.13e9),
    },
    sidecar: {
      file: "weights.bin",
      sha256: "0".repeat(64),
      tensors: { lvl_embed: tensor, pos_start: tensor, "word_embed.bias": tensor, cfg_uncond: tensor },
    },
    // T5-XL on 64 tokens, cross-attention keys and values of both groups, decoder.
    flops: {
      text: 0.149 * TERA,
      condition: 2 * 0.0344 * TERA,
      decodePerLatentCell: 2.404e9,
      nominalTokens: 64,
    },
  };
}

const MODELS = {
  "2b": { depth: 32, embedDim: 2048, heads: 16 },
  "8b": { depth: 40, embedDim: 3584, heads: 28, patchify: true },
  layer12: { depth: 12, embedDim: 768, heads: 8 },
} as const;

describe("plans of official models", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "infinity-plan-"));
    const write = async (name: string, content: unknown) => {
      await mkdir(join(dir, name));
      await writeFile(join(dir, name, "manifest.json"), JSON.stringify(content));
    };
    for (const [name, shape] of Object.entries(MODELS)) await write(name, manifest(shape));
    const scorer = { schemaVersion: 1, version: "1", files: { "config.json": "0".repeat(64) } };
    await write("image-reward", { ...scorer, name: "image-reward", flops: 0.14 * TERA });
    await write("dinov2-large", { ...scorer, name: "dinov2-large", flops: 0.165 * TERA });
    for (const name of ["image-reward", "dinov2-large"])
      await writeFile(join(dir, name, "config.json"), "{}");
  });
  afterAll(() => rm(dir, { recursive: true }));

  const transformer = async (name: keyof typeof MODELS, size: keyof typeof SIZES): Promise<number> => {
    const { cost } = await infinityDefinition(join(dir, name)).describe({ shape: { size } });
    return cost.stages.reduce((sum, flops) => sum + flops, 0) / TERA;
  };
  const within = (found: number, published: number, share = 0.01) =>
    expect(Math.abs(found / published - 1)).toBeLessThan(share);

  it("cost what the reference's tables say, at every size", async () => {
    within(await transformer("2b", "0.06M"), 4.029);
    within(await transformer("2b", "0.25M"), 21.1);
    within(await transformer("2b", "0.60M"), 61.8);
    within(await transformer("2b", "1M"), 115.3);
    within(await transformer("8b", "1M"), 382);
    within(await transformer("layer12", "0.06M"), 0.223);
  });

  it("price each scale as the table of the 1M schedule does", async () => {
    const { cost } = await infinityDefinition(join(dir, "2b")).describe({ shape: { size: "1M" } });
    const published = { 5: 1.107, 6: 2.003, 7: 3.213, 8: 4.801, 9: 9.085, 10: 15.54, 11: 25.16, 12: 53.52 };
    for (const [scale, tera] of Object.entries(published)) within(cost.stages[Number(scale)]! / TERA, tera);
    within(cost.views.now! / TERA, 9.848);
  });

  const preset = async (changes: Record<string, unknown> = {}) => {
    const flags = Object.entries({
      "task.prompt": "a photo of a dog",
      "model.name": join(dir, "2b"),
      "reward.options.model": join(dir, "image-reward"),
      "features.model": join(dir, "dinov2-large"),
      maxMemory: "64GiB",
      ...changes,
    }).map(([path, value]) => ({ path, value, flag: "test" }));
    const { config } = resolveConfig({
      file: await loadConfigFile("configs/infinity-2b-tts-var.yaml"),
      flags,
    });
    const host = { baseDir: dir, allowDownload: false, log: () => {} };
    return (await planConfig(config, host)).plan;
  };

  it("of the preset are the paper's schedule: widths, decisions, decodes, scores", async () => {
    const { rows, spending, total } = await preset();
    const column = (name: keyof (typeof rows)[number]) => rows.map((row) => row[name]);
    expect(column("widthOut")).toEqual([8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1, 1]);
    expect(column("widthIn")).toEqual([8, 8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1]);
    expect(column("features")).toEqual([0, 0, 8, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    expect(column("scores")).toEqual([0, 0, 0, 0, 0, 0, 4, 0, 0, 2, 0, 0, 1]);
    within(spending.byKind.transformer / TERA, 148.9);
    within(spending.byKind.decode / TERA, 206.8);
    within(spending.byKind.features / TERA, 2.3);
    within(spending.byKind.reward / TERA, 1.0, 0.03);
    expect(total).toBeGreaterThan(2.8);
    expect(total).toBeLessThan(2.95);
  });

  it("hold the keys and values of all candidates, and split a scale only where they must", async () => {
    const { memory } = await preset();
    expect(memory!.split).toEqual([]);
    // Weights of 3.73 GB; one candidate keeps 6425 tokens of 1 MiB, and its share of wider scales stays.
    expect(memory!.weights / GIB).toBeGreaterThan(3.4);
    expect(memory!.kept / GIB).toBeGreaterThan(6425 / 1024);
    expect(memory!.kept / GIB).toBeLessThan(12);
    const small = await preset({ "model.size": "0.06M", "strategy.name": "best-of-n", budget: 8 });
    const tight = await preset({
      "model.size": "0.06M",
      "strategy.name": "best-of-n",
      budget: 8,
      maxMemory: `${Math.round(small.memory!.peak * 0.8)}`,
    });
    expect(tight.memory!.split).toContain(6);
    expect(tight.memory!.peak).toBeLessThan(small.memory!.peak * 0.8);
    expect(tight.spending).toEqual(small.spending);
    await expect(preset({ maxMemory: "8GiB" })).rejects.toMatchObject({
      code: "MEMORY_INFEASIBLE",
      exitCode: 4,
    });
  });
});

describe("memory of a stage", () => {
  it("is that of its keys and values: 260.5 MiB of half precision after 256 pixels, doubled for float32", async () => {
    const dir = await mkdtemp(join(tmpdir(), "infinity-memory-"));
    await writeFile(join(dir, "manifest.json"), JSON.stringify(manifest(MODELS["2b"])));
    const keptOf = async (settings: object): Promise<readonly number[]> =>
      (await infinityDefinition(dir).describe({ shape: { size: "0.25M" }, settings })).memory!.kept;
    const kept = await keptOf({});
    const unguided = await keptOf({ guidanceUntil: 0 });
    expect(kept[6]! / 2 ** 20).toBe(2 * 260.5);
    expect(kept[9]! - kept[8]!).toBe(0);
    expect(4 * (unguided[3]! - unguided[2]!)).toBe(2 * (kept[3]! - kept[2]!));
    await rm(dir, { recursive: true });
  });
});
