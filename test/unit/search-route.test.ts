import { describe, expect, it } from "vitest";
import type { Atom } from "../../src/core/benchmark.ts";
import { atoms, score, start, stepTo } from "../../src/core/program.ts";
import type { SearchFunction } from "../../src/core/strategy.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { analyticReward, drawsOf } from "./support/analytic-generator.ts";
import { planInputOf, planOf, record, searchInput } from "./support/search-run.ts";

const atom = (skill: string, holds: boolean, parent: number[] = []): Atom => ({
  ...{ question: `${skill}?`, expected: "yes", skill, parent, p: Number(holds) },
});

/** Things are right by the first draw, their colours by the fourth. */
const told = (draws: readonly number[], [thing, colour]: readonly [number, number]): Atom[] => [
  atom("object", draws[0]! > thing),
  atom("color", (draws[3] ?? 0) > colour, [0]),
];

function judging(least: readonly [number, number]) {
  return analyticReward("sum", undefined, {
    score: (batch) => {
      const seen = batch.map(({ image }) => told(drawsOf(image), least));
      return {
        scores: seen.map((list) => list.reduce((sum, { p }) => sum + p, 0)),
        details: seen.map((list) => ({ atoms: list })),
      };
    },
  });
}

const colours = { restarts: { color: 0.5 } };
const inputOf = (
  least: readonly [number, number],
  units: number,
  options: Record<string, unknown> = colours,
) => searchInput("route", units, { options, rewards: { sum: judging(least) } });

describe("route", () => {
  it("ends at the first picture of which all questions hold", async () => {
    const { spending, candidates } = await runSearch(await inputOf([-9, -9], 8));
    expect(candidates.map(({ id }) => id)).toEqual(["c0"]);
    expect(spending.total).toBeCloseTo(planOf(await inputOf([-9, -9], 1)).spending.total, 6);
  });

  it("draws a picture with a wrong colour anew from the fine scales on, and keeps the coarse ones", async () => {
    const input = await inputOf([-9, 0.9], 8);
    const { result, events } = await record(input);
    const restarts = events.filter((event) => event.type === "branch" && event.why["rule"] === "restart");
    expect(restarts[0]).toMatchObject({ ids: ["c0", "c0.1"], why: { scale: 3, failed: ["color?"] } });
    const { best } = result;
    expect(told(drawsOf(best.image), [-9, 0.9]).every(({ p }) => p === 1)).toBe(true);
    const alone = await runSearch(await inputOf([-9, -9], 1));
    const kept = 3 - (restarts.length - 1);
    expect(best).toMatchObject({ id: `c0.${restarts.length}`, parent: "c0" });
    expect(drawsOf(best.image).slice(0, kept)).toEqual(drawsOf(alone.best.image).slice(0, kept));
    expect(drawsOf(best.image)[kept]).not.toBe(drawsOf(alone.best.image)[kept]);
    expect(replayTrace(planInputOf(input), events)).toEqual({ agreed: events.length, difference: null });
  });

  it("starts a scale earlier after every move that did not help, and ends with other samples", async () => {
    const { events } = await record(await inputOf([-9, 9], 8));
    const scales = events.flatMap((event) =>
      event.type === "branch" && event.why["rule"] === "restart" ? [event.why["scale"]] : [],
    );
    // At last there is money left for a small move only.
    expect(scales).toEqual([3, 2, 1]);
    expect(events.filter(({ type }) => type === "start").length).toBeGreaterThan(3);
  });

  it("draws another sample where a thing is missing, on which its colour depends", async () => {
    const { result, events } = await record(await inputOf([9, -9], 4));
    expect(events.filter(({ type }) => type === "start").map((event) => "ids" in event && event.ids)).toEqual(
      [["c0"], ["c1"], ["c2"], ["c3"]],
    );
    expect(result.best.id).toBe("c0");
  });

  it("takes any number of samples to begin with, and any scales", async () => {
    const input = await inputOf([-9, 9], 6, { n: 3, restarts: { color: 5 } });
    const { result, events } = await record(input);
    expect(result.spending.total).toBeLessThanOrEqual(result.plan.spending.total * (1 + 1e-9));
    expect(events.find(({ type }) => type === "start")).toMatchObject({ ids: ["c0", "c1", "c2"] });
    expect(events.find((event) => event.type === "branch" && event.why["scale"] === 5)).toBeDefined();
  });

  it("leaves no session open", async () => {
    const input = await inputOf([0.3, 0.9], 8, { ...colours, n: 2 });
    await runSearch(input);
    expect((input.generator as unknown as { open: number }).open).toBe(0);
  });

  it("refuses a reward that tells a number alone, before anything is drawn, and names some that tell more", async () => {
    const { atoms: _, ...plain } = analyticReward();
    await expect(runSearch(await searchInput("route", 4, { rewards: { sum: plain } }))).rejects.toMatchObject(
      {
        code: "CONFIG_INVALID",
        message: expect.stringMatching(/reward sum gives one number; use one that tells them.*geneval/),
      },
    );
  });

  it("refuses a scale that the model does not have", async () => {
    await expect(runSearch(await inputOf([0, 0], 4, { restarts: { color: 6 } }))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("restarts.color: scale 6"),
    });
  });
});

describe("atoms", () => {
  const asking = (first: "score" | "atoms"): SearchFunction =>
    function* (space) {
      const finalists = yield* stepTo(yield* start(2), space.stages.length);
      if (first === "score") yield* score(finalists, space.reward);
      yield* atoms(finalists, space.reward);
      return { finalists, best: 0 };
    };

  it("cost nothing, stand in the trace, and are what decides again", async () => {
    const input = { ...(await inputOf([-9, -9], 4)), strategy: asking("score") };
    const { events, result } = await record(input);
    const told = events.find(({ type }) => type === "atoms");
    expect(told).toMatchObject({ stage: 5, reward: "sum", ids: ["c0", "c1"] });
    expect(told?.type === "atoms" && told.atoms[0]!.map(({ skill, p }) => [skill, p])).toEqual([
      ["object", 1],
      ["color", 1],
    ]);
    const without = await runSearch({ ...input, strategy: await strategyWithout() });
    expect(result.spending).toEqual(without.spending);
    const changed = events.map((event) => (event.type === "atoms" ? { ...event, atoms: [] } : event));
    expect(replayTrace(planInputOf(input), changed).difference).toBeNull();
  });

  const strategyWithout = async (): Promise<SearchFunction> =>
    function* (space) {
      const finalists = yield* stepTo(yield* start(2), space.stages.length);
      yield* score(finalists, space.reward);
      return { finalists, best: 0 };
    };

  it("are told with a score, and not before", async () => {
    const input = { ...(await inputOf([0, 0], 4)), strategy: asking("atoms") };
    await expect(runSearch(input)).rejects.toThrow("candidate c0 was not scored with sum in this view");
  });

  it("must be what the reward promised", async () => {
    const wrong = [undefined, [], [{ ...atom("object", true), p: 2 }], [atom("object", true, [0])]];
    for (const list of wrong) {
      const reward = analyticReward("sum", undefined, {
        score: (batch) => ({ scores: batch.map(() => 0), details: batch.map(() => ({ atoms: list })) }),
      });
      const input = await searchInput("route", 2, { rewards: { sum: reward } });
      await expect(runSearch(input)).rejects.toMatchObject({
        code: "REWARD_FAILED",
        message: expect.stringContaining("gave no atoms for candidate c0"),
      });
    }
  });
});
