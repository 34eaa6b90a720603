import { describe, expect, it } from "vitest";
import { FULL_VIEW, type Session, type View } from "../../src/core/generator.ts";
import { createCostModel } from "../../src/engine/cost-model.ts";
import { lookingAhead } from "../../src/generators/next-scale/look-ahead.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { traitsSchema } from "../../src/generators/traits-schema.ts";

const AHEAD: View = { size: 1, look: "ahead" };
const task = { prompt: "four colours", seed: 5 };
const open = (settings: object) => toyDefinition.open({ settings });

async function stepTo(session: Session, stage: number): Promise<Session> {
  while (session.stage < stage) await session.step();
  return session;
}

describe("looks ahead of next-scale models", () => {
  it("show the likeliest end of what was drawn", async () => {
    const drawn = await stepTo(await (await open({ lookAhead: 9 })).start(task, ["c0", "c1"]), 2);
    const seen = await drawn.view([1, 0], AHEAD);
    const cold = await open({ topK: 1 });
    const stages = cold.traits.stages.length;
    for (const [at, row] of [1, 0].entries()) {
      const keep = (await Promise.all([0, 1].map((stage) => drawn.tokens([row], stage)))).flat();
      const end = await stepTo(await cold.start({ ...task, keep }, ["any"]), stages);
      expect(seen[at]!.frames[0].data).toEqual((await end.view([0], FULL_VIEW))[0]!.frames[0].data);
    }
    expect(seen[0]!.frames[0].data).not.toEqual((await drawn.view([1], FULL_VIEW))[0]!.frames[0].data);
  });

  it("go on for as many scales as they are told, and no further than the last", async () => {
    const pictures = [];
    for (const lookAhead of [1, 2, 3, 9]) {
      const session = await stepTo(await (await open({ lookAhead })).start(task, ["c0"]), 1);
      pictures.push((await session.view([0], AHEAD))[0]!.frames[0].data.join());
    }
    expect(new Set(pictures.slice(0, 3)).size).toBeGreaterThan(1);
    const { traits } = await open({ lookAhead: 9 });
    const whole = await stepTo(
      await (await open({ lookAhead: 9 })).start(task, ["c0"]),
      traits.stages.length,
    );
    const [ahead, now] = [await whole.view([0], AHEAD), await whole.view([0], FULL_VIEW)];
    expect(ahead[0]!.frames[0].data).toEqual(now[0]!.frames[0].data);
  });

  it("cost the stages that they go on for, and a decode", async () => {
    const { traits } = await open({ lookAhead: 2 });
    const { stages, views, ahead } = traits.cost;
    expect(ahead![0]).toBe(stages[1]! + stages[2]!);
    expect(ahead!.slice(-2)).toEqual([stages.at(-1), 0]);
    expect(traitsSchema.parse(traits).cost.ahead).toEqual(ahead);
    const cost = createCostModel({
      ...{ generator: traits, keep: 0, prompts: 1, featureFlops: null, primaryReward: "r" },
      rewards: { r: { flops: 7 } },
    });
    expect(cost.view(AHEAD, 1)).toBeCloseTo(ahead![0]! + views.ahead!, 6);
    expect(cost.view({ ...AHEAD, size: 0.5 }, 1)).toBeCloseTo(ahead![0]! + views.ahead! / 4, 6);
    expect(cost.view(FULL_VIEW, 1)).toBeCloseTo(views.now!, 6);
    expect(cost.unit).toBe((await costOf({})).unit);
  });

  it("are not there unless they are asked for", async () => {
    const { traits } = await open({});
    expect(traits.looks).toEqual(["now"]);
    expect((await open({ lookAhead: 0 })).traits).toEqual(traits);
    await expect(open({ lookAhead: -1 })).rejects.toThrow(
      "model.options.lookAhead: must be a whole number from 0",
    );
  });

  it("keep the drafts and count the memory of models that have them", async () => {
    const { traits } = await open({});
    const memory = { weights: 1, prompt: 2, kept: [3, 4], working: [5, 9], view: { bytes: 10, atOnce: 1 } };
    const more = lookingAhead({ ...traits, memory, cost: { ...traits.cost, drafts: { now: 3 } } }, 1);
    expect(more.cost.drafts).toEqual({ now: 3, ahead: 3 });
    expect(more.memory!.view.bytes).toBe(10 + 4 + 9);
    expect(more.settings["lookAhead"]).toBe(1);
  });
});

async function costOf(settings: object) {
  const { traits: generator } = await open(settings);
  return createCostModel({
    ...{ generator, keep: 0, prompts: 1, featureFlops: null, primaryReward: "r" },
    rewards: { r: { flops: 7 } },
  });
}
