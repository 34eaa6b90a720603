import { describe, expect, it } from "vitest";
import { rejecting } from "../../search/parts/rejecting.ts";
import type { TraceEvent } from "../../src/core/trace.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { planInputOf, planOf, record, searchInput, strategyNames } from "./support/search-run.ts";

const BUDGET = 8;
const stepsOf = (events: readonly TraceEvent[]) =>
  events.flatMap((event) =>
    event.type === "step" ? [event as unknown as { ids: readonly string[]; stage: number }] : [],
  );

describe("rejections", () => {
  it.each(strategyNames)("are obeyed by %s at no more cost, and replayed", async (name) => {
    const plain = await searchInput(name, BUDGET);
    const before = await record(plain);
    const candidate = before.result.best.id;
    const drawn = before.events.find((event) => event.type === "step" && event.ids.includes(candidate));
    const stage = (drawn as { stage: number }).stage;
    const rejected = { ...plain, strategy: rejecting(plain.strategy, [{ candidate, stage }]) };
    const { result, events } = await record(rejected);
    if (result.candidates.length > 1) expect(result.best.id).not.toBe(candidate);
    expect(planOf(rejected).total).toBeLessThanOrEqual(planOf(plain).units * (1 + 1e-9));
    expect(replayTrace(planInputOf(rejected), events).difference).toBeNull();
  });

  it("keep a candidate from going on, and somebody else goes instead", async () => {
    const plain = await searchInput("tts-var", BUDGET);
    const before = await record(plain);
    const choice = before.events.find((event) => event.type === "select" && event.why["rule"] === "cluster");
    const { ids, from } = choice as { ids: readonly string[]; from: number };
    const drawn = before.events.findLast((event) => event.type === "step" && event.population === from);
    const { stage } = drawn as { stage: number };
    const candidate = ids[0]!;
    const strategy = rejecting(plain.strategy, [{ candidate, stage }]);
    const { events } = await record({ ...plain, strategy });
    const steps = stepsOf(events);
    expect(steps.filter((step) => step.ids.includes(candidate)).map((step) => step.stage)).toEqual(
      Array.from({ length: stage + 1 }, (_, index) => index),
    );
    expect(steps.map((step) => step.ids.length)).toEqual(
      stepsOf(before.events).map((step) => step.ids.length),
    );
  });

  it("change nothing before their stage, and nothing where they reject nobody", async () => {
    const plain = await searchInput("tts-var", BUDGET);
    const before = await record(plain);
    const nobody = { ...plain, strategy: rejecting(plain.strategy, [{ candidate: "c999", stage: 0 }]) };
    expect((await record(nobody)).text).toBe(before.text);
    const late = { ...plain, strategy: rejecting(plain.strategy, [{ candidate: "c0", stage: 3 }]) };
    const events = (await record(late)).events;
    const upTo = events.findIndex((event) => event.type === "step" && event.stage === 3);
    expect(events.slice(0, upTo)).toEqual(before.events.slice(0, upTo));
  });
});
