import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Generator } from "../../src/core/generator.ts";
import type { TrimmedCache } from "../../src/generators/next-scale/cache/trimmed-cache.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { openNetwork, readInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { resolveInfinity } from "../../src/generators/next-scale/infinity/settings.ts";
import { startSession } from "../../src/generators/next-scale/session.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

const embedded = await embeddedModelPath("generator");
const exported = fileURLToPath(new URL("../fixtures/models/infinity-exported", import.meta.url));
const here = { inProcess: true, threads: 1 };
const task = { prompt: "a photo of a red car", seed: 4 };
const ids = ["c0", "c1"];

async function hashes(generator: Generator): Promise<string[]> {
  const session = await generator.start(task, ids);
  const all: string[] = [];
  for (const _ of generator.traits.stages) all.push(...(await session.step()).tokenHash);
  return all;
}

describeSampler(
  "cut cache",
  () => infinityDefinition(embedded).open({ settings: { cache: "scalekv", cacheShare: 0.25 } }, here),
  { otherSettings: { guidance: 1, guidanceUntil: 3, cache: "hack", cacheShare: 0.5 } },
);

describe("policies of the cache", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await infinityDefinition(embedded).open({}, here);
  }, 120_000);
  afterAll(async () => generator?.[Symbol.asyncDispose]());

  it("change no bit while everything fits", async () => {
    const whole = await hashes(generator);
    for (const settings of [
      { cache: "scalekv", cacheShare: 1 },
      { cache: "hack", cacheShare: 1 },
    ]) {
      expect(await hashes(await generator.withSettings!(settings))).toEqual(whole);
    }
    const cut = await hashes(await generator.withSettings!({ cache: "scalekv", cacheShare: 0.12 }));
    // The first stages fit into any budget.
    expect(cut.slice(0, 4)).toEqual(whole.slice(0, 4));
    expect(cut.slice(-2)).not.toEqual(whole.slice(-2));
  }, 60_000);

  it("work on exported folders, whose attention is another operator", async () => {
    const other = await infinityDefinition(exported).open({}, here);
    const whole = await hashes(other);
    const settings = { cache: "scalekv", cacheLayers: "uniform", cacheShare: 1 };
    expect(await hashes(await other.withSettings!(settings))).toEqual(whole);
    const cut = await hashes(await other.withSettings!({ ...settings, cacheShare: 0.1 }));
    expect(cut.slice(-2)).not.toEqual(whole.slice(-2));
    await other[Symbol.asyncDispose]();
  });

  it("keep what the plan says", async () => {
    const given = { cache: "scalekv", cacheShare: 0.25 };
    const model = await readInfinity(embedded);
    const { sampling, cache } = resolveInfinity(model, given);
    const { network, code, close } = await openNetwork(embedded, {}, { threads: 1, policy: cache.policy });
    const traits = await infinityDefinition(embedded).describe({ settings: given });
    const seen: TrimmedCache[] = [];
    const watched = {
      begin: network.begin.bind(network),
      select: network.select.bind(network),
      decode: network.decode.bind(network),
      async run(...asked: Parameters<typeof network.run>) {
        const output = await network.run(...asked);
        seen.push(output.state.past as TrimmedCache);
        return output;
      },
    };
    const context = { network: watched, code, traits, settings: sampling };
    const session = await startSession(context, task, ids);
    for (const { index } of traits.stages) {
      await session.step();
      const planned = (index === 0 ? 1 : ids.length) * traits.memory!.kept[index]!;
      expect(Math.abs(planned / seen.at(-1)!.bytes - 1)).toBeLessThan(0.15);
    }
    expect(traits.memory!.kept[4]).toBeLessThan(0.3 * generator.traits.memory!.kept[4]!);
    expect(traits.cost.stages[5]).toBeLessThan(generator.traits.cost.stages[5]!);
    await close();
  });

  it("say what is wrong with their settings", async () => {
    const refused = async (dir: string, settings: object, message: RegExp) =>
      expect(infinityDefinition(dir).describe({ settings })).rejects.toThrow(message);
    await refused(embedded, { cache: "lru" }, /cache: must be "none", "scalekv" or "hack"/);
    await refused(embedded, { cacheShare: 0.5 }, /cacheShare needs model.options.cache=scalekv or hack/);
    await refused(embedded, { cache: "hack", cacheTokens: "random" }, /cacheTokens needs .*cache=scalekv/);
    await refused(embedded, { cache: "scalekv", cacheShare: 0 }, /cacheShare: must be above 0/);
    await refused(exported, { cache: "hack" }, /nobody has identified .*tts-var calibrate-cache/);
  });
});
