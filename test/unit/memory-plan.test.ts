import { describe, expect, it } from "vitest";
import { memoryLimit } from "../../src/config/memory-limit.ts";
import type { GeneratorMemory } from "../../src/core/generator.ts";
import { branch, release, select, start, step } from "../../src/core/program.ts";
import type { SearchFunction } from "../../src/core/strategy.ts";
import { type MemoryPlan, planMemory } from "../../src/engine/memory-plan.ts";
import { createSpace } from "../../src/engine/plan.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";

/** Round numbers: a row keeps 10 of each stage but the last and works with 100; guidance doubles both. */
function memoryWith(guidanceUntil: number): GeneratorMemory {
  const groups = [0, 1, 2, 3].map((stage) => (stage < guidanceUntil ? 2 : 1));
  const left = groups.map((count, stage) => (stage < 3 ? 10 * count : 0));
  return {
    weights: 1000,
    prompt: 7,
    kept: left.map((_, stage) => left.slice(0, stage + 1).reduce((sum, bytes) => sum + bytes, 0)),
    working: groups.map((count) => 100 * count),
    view: { bytes: 64, atOnce: 2 },
  };
}

async function plan(strategy: SearchFunction, limit: number, guidanceUntil = 0): Promise<MemoryPlan> {
  const toy = await toyDefinition.describe();
  const memory = memoryWith(guidanceUntil);
  const generator = { ...toy, memory };
  const traits = { flops: 1, suggestedLambda: 1 } as never;
  const space = createSpace(
    {
      generator,
      strategy,
      rewards: { r: traits },
      primaryReward: "r",
      features: null,
      units: 100,
      calibration: null,
    },
    (units) => units,
  );
  return planMemory({ generator, memory, strategy, space, limit });
}

/** `width` candidates, cut to `cut` after the second stage. */
const narrowing = (width: number, cut: number): SearchFunction =>
  function* () {
    let population = yield* start(width);
    for (let stage = 0; stage < 4; stage++) {
      population = (yield* step(population)).population;
      if (stage === 1) {
        const picks = Array.from({ length: cut }, (_, row) => row);
        population = yield* select(population, picks, { rule: "test" });
      }
    }
    return { finalists: population, best: 0 };
  };

describe("planMemory", () => {
  it("adds weights, what is kept, the worst stage and the largest view", async () => {
    // The shared first stage keeps one row, the second four, the third two; the last works with two.
    const { peak, kept, working, stage, viewing, rowsAtOnce, split } = await plan(narrowing(4, 2), 10_000);
    expect({ kept, working, stage, viewing }).toEqual({ kept: 50, working: 407, stage: 1, viewing: 128 });
    expect(peak).toBe(1000 + 50 + 407 + 128);
    expect(rowsAtOnce).toEqual([1, 4, 2, 2]);
    expect(split).toEqual([]);
  });

  it("doubles with guidance, up to the stage where it ends", async () => {
    const guided = await plan(narrowing(4, 2), 10_000, 4);
    expect([guided.kept, guided.working]).toEqual([100, 807]);
    const partly = await plan(narrowing(4, 4), 10_000, 1);
    expect([partly.kept, partly.working, partly.stage]).toEqual([20 + 40 + 40, 407, 2]);
  });

  it("splits the stages that do not fit, and refuses when not even one candidate does", async () => {
    const tight = await plan(narrowing(8, 2), 1000 + 128 + 90 + 7 + 399);
    expect(tight.rowsAtOnce).toEqual([1, 2, 2, 2]);
    expect(tight.split).toEqual([1]);
    expect(tight.peak).toBeLessThanOrEqual(tight.limit);
    const refused = plan(narrowing(8, 2), 1000 + 128 + 90 + 7 + 99);
    await expect(refused).rejects.toMatchObject({ code: "MEMORY_INFEASIBLE", exitCode: 4 });
    await expect(refused).rejects.toThrow(/raise --max-memory, lower --budget or --widths/);
    await expect(plan(narrowing(1, 1), 900)).rejects.toThrow(/--dtype int8 or int4/);
  });

  it("counts what branches share once, and forgets what was released", async () => {
    const shared = await plan(function* () {
      let trunk = yield* start(2);
      trunk = (yield* step(trunk)).population;
      trunk = (yield* step(trunk)).population;
      let other = yield* branch(trunk, [0], { rule: "test" });
      yield* release(trunk);
      other = (yield* step(other)).population;
      other = (yield* step(other)).population;
      return { finalists: other, best: 0 };
    }, 10_000);
    // One row of the first stage, two of the second (held by the branch), and the branch's one of the third.
    expect(shared.kept).toBe(10 + 20);
    expect(shared.working).toBe(207);
    const dropped = await plan(function* () {
      for (let round = 0; ; round++) {
        let population = yield* start(3);
        for (let stage = 0; stage < 4; stage++) population = (yield* step(population)).population;
        if (round === 4) return { finalists: population, best: 0 };
        yield* release(population);
      }
    }, 10_000);
    expect(dropped.kept).toBe(10 + 30 + 30);
  });
});

describe("memoryLimit", () => {
  it("reads sizes in either system, and takes most of the machine by default", () => {
    expect(memoryLimit("8GiB")).toBe(8 * 2 ** 30);
    expect(memoryLimit("1.5 GB")).toBe(1.5e9);
    expect(memoryLimit("500m")).toBe(500e6);
    expect(memoryLimit("4096")).toBe(4096);
    expect(memoryLimit()).toBeGreaterThan(2 ** 28);
  });
});
