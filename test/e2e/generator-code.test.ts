import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { framesHash } from "../../src/core/image.ts";
import { codeDefinition } from "../../src/generators/next-scale/code/definition.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { infinityTraits, readInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

const twice = { drafter: "embedded", refiner: "embedded" };
const here = { inProcess: true, threads: 1 };
const task = { prompt: "a photo of a red car left of a dog", seed: 5 };
const ids = ["c0", "c1"];

describeSampler("two models that draw together", () => codeDefinition.open({ settings: twice }), {
  otherSettings: { guidance: 1, at: 2 },
});

describe("CoDe", () => {
  let pair: Generator;
  let plain: Generator;
  beforeAll(async () => {
    pair = await codeDefinition.open({ settings: twice }, here);
    plain = await infinityDefinition(await embeddedModelPath("generator")).open({}, here);
  }, 120_000);
  afterAll(async () => {
    await pair?.[Symbol.asyncDispose]();
    await plain?.[Symbol.asyncDispose]();
  });

  async function draw(generator: Generator) {
    const session = await generator.start(task, ids);
    const hashes: string[] = [];
    // Selected at the hand-over too: candidates change places.
    for (const { index } of generator.traits.stages) {
      hashes.push(...(await session.step()).tokenHash);
      if (index === 2) await session.select([1, 0].map((parent) => ({ parent, id: ids[parent]! })));
    }
    const pictures = await session.view([0, 1], FULL_VIEW);
    return [...hashes, ...pictures.map(({ frames }) => framesHash(frames))];
  }

  it("changes nothing, wherever a model hands over to itself", async () => {
    const expected = await draw(plain);
    for (const settings of [{ at: 1 }, { at: 3 }, { at: 5 }, { at: 3, guidanceUntil: 5 }]) {
      const other = await pair.withSettings!(settings);
      const alone = "guidanceUntil" in settings ? await plain.withSettings!({ guidanceUntil: 5 }) : plain;
      expect(await draw(other)).toEqual(alone === plain ? expected : await draw(alone));
    }
  }, 60_000);

  it("charges what the refiner reads, and forgets what the drafter kept", async () => {
    const big = infinityTraits(await readInfinity(await embeddedModelPath("generator")));
    const { cost, memory } = await codeDefinition.describe({ settings: { ...twice, at: 3 } });
    const { stages } = big.cost;
    const read = stages[0]! + stages[1]! + stages[2]!;
    expect(cost.stages).toEqual([...stages.slice(0, 3), stages[3]! + read, ...stages.slice(4)]);
    expect(cost.prompt).toBe(2 * big.cost.prompt);
    expect(memory!.kept[3]).toBe(big.memory!.kept[3]);
    // Unguided, the refiner reads for one branch.
    const half = await codeDefinition.describe({ settings: { ...twice, at: 3, guidanceUntil: 3 } });
    expect(half.cost.stages[3]).toBe((stages[3]! + read) / 2);
  });

  it("refuses a hand-over that cannot be", async () => {
    const refused = async (settings: object, message: RegExp) =>
      expect(codeDefinition.describe({ settings })).rejects.toThrow(message);
    await refused({ ...twice, at: 6 }, /at is 6, but there are 6 scales/);
    await refused({ ...twice, at: 0 }, /at: must be a whole number from 1/);
    await refused({ ...twice, refinr: "x" }, /refinr: .*did you mean "refiner"/);
    await refused({ ...twice, refiner: "nobody" }, /nobody/);
    const tiny = "test/fixtures/models/infinity-exported";
    await refused({ ...twice, refiner: tiny }, /cannot hand over|no (shape|schedule)/i);
    await expect(pair.withSettings!({ refiner: "small" })).rejects.toThrow(/embedded is open, not small/);
  });
});
