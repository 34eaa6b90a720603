import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planConfig } from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { Generator, Session } from "../../src/core/generator.ts";
import { hmarDefinition } from "../../src/generators/next-scale/hmar/definition.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// Random weights: training/ttsvar/hmar/export.py --tiny.
const tiny = fileURLToPath(new URL("../fixtures/models/hmar-tiny", import.meta.url));
const here = { inProcess: true, threads: 1 };
const task = { prompt: "a photo of a red car", seed: 4 };
const once = [[1], [4], [9], [16]];

describeSampler("hmar", () => hmarDefinition(tiny).open(), {
  otherSettings: { guidance: 3, passes: [[1], [1, 1, 1, 1], [9], [8, 8]] },
});

describe("hmar", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await hmarDefinition(tiny).open({}, here);
  }, 120_000);
  afterAll(async () => generator?.[Symbol.asyncDispose]());

  const bits = async (session: Session, stage: number) =>
    (await session.tokens([0], stage)).map(({ data }) => Uint8Array.from(data))[0]!;
  const differing = (a: Uint8Array, b: Uint8Array, width: number) =>
    new Set([...a.keys()].filter((at) => a[at] !== b[at]).map((at) => Math.floor(at / width)));

  it("draws only the masked tokens again, as many as the passes say", async () => {
    const { width } = generator.traits.tokens as { width: number };
    const plain = await generator.withSettings!({ passes: once });
    const passes = await generator.withSettings!({ passes: [[1], [4], [9], [10, 4, 2]] });
    const [a, b] = [await plain.start(task, ["c0"]), await passes.start(task, ["c0"])];
    for (const { index } of generator.traits.stages) {
      await a.step();
      await b.step();
      const changed = differing(await bits(a, index), await bits(b, index), width);
      if (index < 3) expect(changed.size).toBe(0);
      else {
        expect(changed.size).toBeGreaterThan(0);
        expect(changed.size).toBeLessThanOrEqual(6);
      }
    }
  });

  it("refines a share, and more tokens for a larger one", async () => {
    const { width } = generator.traits.tokens as { width: number };
    const session = await generator.start(task, ["c0"]);
    for (const _ of generator.traits.stages) await session.step();
    const before = await bits(session, 3);
    const quarter = await session.branch([{ parent: 0, id: "c0" }]);
    await quarter.refine!(0.25, ["c0.r1"]);
    const changed = differing(before, await bits(quarter, 3), width);
    expect(changed.size).toBeGreaterThan(0);
    expect(changed.size).toBeLessThanOrEqual(4);
    expect(await bits(session, 3)).toEqual(before);
  });

  it("keeps nothing, and charges every masked pass", async () => {
    const { memory, cost } = generator.traits;
    expect(memory!.kept).toEqual([0, 0, 0, 0]);
    const plain = await generator.withSettings!({ passes: once });
    expect(generator.traits.settings["passes"]).toEqual([[1], [1, 3], [1, 1, 2, 5], [16]]);
    const extra = [0, 1, 3, 0].map((count, stage) => count * cost.refine![stage]!);
    expect(cost.stages).toEqual(plain.traits.cost.stages.map((flops, stage) => flops + extra[stage]!));
    expect(cost.refineWhole).toBe(true);
  });

  it("refuses passes that do not add up", async () => {
    const refused = async (passes: unknown, message: RegExp) =>
      expect(hmarDefinition(tiny).describe({ settings: { passes } })).rejects.toThrow(message);
    await refused([[1], [4], [9], [8, 7]], /passes of scale 3 must add up to its 16 tokens, not 8 \+ 7/);
    await refused([[1], [4]], /passes must have 4 lists/);
    await refused([[1], [4], [9], [0, 16]], /whole numbers from 1/);
  });

  it("polishes for less than .3 units a move where moves are compared by drafts", async () => {
    const total = async (units: number, drafts: boolean): Promise<number> => {
      const settings = {
        ...{ "task.prompt": "a photo of a cup", "model.name": "hmar", budget: units },
        ...{ "strategy.name": "polish", "strategy.options": { n: 1, drafts } },
      };
      const flags = Object.entries(settings).map(([path, value]) => ({ path, value, flag: path }));
      const host = { baseDir: process.cwd(), allowDownload: false, log: () => undefined };
      return (await planConfig(resolveConfig({ flags }).config, host)).plan.total;
    };
    // Four moves more.
    const price = ((await total(3, true)) - (await total(2.1, true))) / 4;
    expect(price).toBeLessThan(0.3);
    expect((await total(2, false)) - 1).toBeGreaterThan(1.5 * price);
  });
});
