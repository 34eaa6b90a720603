import { describe, expect, it } from "vitest";
import { lineageOf, parentOf } from "../../src/core/ids.ts";
import { release, score, select, start, step, stepTo } from "../../src/core/program.ts";
import { defineStrategy } from "../../src/core/strategy.ts";
import { createCostModel } from "../../src/engine/cost-model.ts";
import type { ProgressEvent } from "../../src/engine/observer.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { analyticGenerator, analyticReward, drawsOf } from "./support/analytic-generator.ts";
import { planInputOf, planOf, record, searchInput } from "./support/search-run.ts";

describe("cost model", () => {
  it("adds one unit up from text, stages, decode and score", () => {
    const { traits } = analyticGenerator([1, 2]);
    const input = {
      keep: 0,
      prompts: 1,
      rewards: { sum: { flops: 300 } },
      primaryReward: "sum",
      featureFlops: null,
    };
    const guided = createCostModel({ ...input, generator: traits });
    expect(guided.unit).toBe(50 + 200 + 800 + 160 + 300);
    const cheaper = { ...traits, cost: { ...traits.cost, stages: [200, 400] } };
    const half = createCostModel({ ...input, generator: cheaper });
    expect(half.unit).toBe(50 + 200 + 400 + 160 + 300);
    const texts = createCostModel({ ...input, prompts: 3, generator: traits });
    expect([texts.prompt, texts.unit]).toEqual([150, guided.unit + 100]);
  });

  it("prices views by their share of the pixels, and kept stages once whatever the width", () => {
    const { traits } = analyticGenerator();
    const input = {
      generator: traits,
      rewards: { sum: { flops: 300 } },
      primaryReward: "sum",
      featureFlops: null,
    };
    const cost = createCostModel({ ...input, keep: 2, prompts: 1 });
    expect(cost.view({ size: 1, look: "now" })).toBe(64 * 40);
    expect(cost.view({ size: 0.5, look: "now" })).toBe(16 * 40);
    expect(cost.shared).toBe(3);
    expect(() => cost.view({ size: 1, look: "now", quality: "draft" })).toThrow(/draft look now/);
    expect(() => cost.view({ size: 1, look: "ahead" })).toThrow(
      /full look ahead, which this generator cannot give/,
    );
    expect(() => cost.refine(0, 0.5)).toThrow(/cannot/);
    expect(() => cost.reward("constructor")).toThrow(/reward "constructor"/);
  });
});

describe("charges", () => {
  it("counts the shared first stage and the text once, whatever the width", async () => {
    const { rows, spending } = planOf(await searchInput("best-of-n", 5));
    expect(rows[0]!.flops.transformer).toBe(200);
    expect(rows[1]!.flops.transformer).toBe(5 * 800);
    expect(spending.byKind.text).toBe(50);
    expect(spending.byStage.reduce((sum, flops) => sum + flops, 0)).toBe(spending.byKind.transformer);
  });

  it("decodes a preview once for features and rewards, at the size asked for", async () => {
    const generator = analyticGenerator();
    const input = await searchInput("quality-diversity", 8, { generator });
    const { plan } = await runSearch(input);
    const looked = plan.rows.filter(({ features }) => features > 0);
    expect(looked.length).toBeGreaterThan(0);
    for (const row of looked) expect([row.decodes, row.scores]).toEqual([row.features, row.features]);
    expect(generator.viewed).toBe(plan.rows.reduce((sum, row) => sum + row.decodes, 0));
    expect(looked[0]!.flops.decode).toBe(looked[0]!.decodes * 16 * 40);
  });

  it("scores finalists that the program did not score, and does not score any twice", async () => {
    let calls = 0;
    const reward = analyticReward("sum", ({ image }) => {
      calls += 1;
      return drawsOf(image)[0]!;
    });
    const lazy = function* () {
      return { finalists: yield* stepTo(yield* start(3), 6), best: 2 };
    };
    const input = { ...(await searchInput("single", 4, { rewards: { sum: reward } })), strategy: lazy };
    const { best, candidates } = await runSearch(input);
    expect(calls).toBe(3);
    expect(candidates.map(({ id }) => id)).toEqual(["c0", "c1", "c2"]);
    expect(best.id).toBe("c2");
    expect(Object.keys(best.scores)).toEqual(["sum"]);
  });
});

describe("populations", () => {
  it("leaves the others' draws unchanged when a candidate is removed or the batch is permuted", async () => {
    const narrow = (picks: readonly number[]) =>
      function* () {
        let population = (yield* step(yield* start(4))).population;
        population = yield* select(population, picks);
        return { finalists: yield* stepTo(population, 6), best: 0 };
      };
    const drawn = async (picks: readonly number[]) => {
      const { candidates } = await runSearch({
        ...(await searchInput("single", 8)),
        strategy: narrow(picks),
      });
      return Object.fromEntries(candidates.map(({ id, image }) => [id, drawsOf(image)]));
    };
    const all = await drawn([0, 1, 2, 3]);
    expect(await drawn([3, 1, 0, 2])).toEqual(all);
    const { c1: _removed, ...rest } = all;
    expect(await drawn([0, 2, 3])).toEqual(rest);
    const copied = await drawn([1, 1, 1]);
    expect(copied["c1"]).toEqual(all["c1"]);
    expect(copied["c1.1"]![0]).toBe(all["c1"]![0]);
    expect(new Set([copied["c1"]![1], copied["c1.1"]![1], copied["c1.2"]![1]]).size).toBe(3);
  });

  it("refuses a handle that was replaced", async () => {
    const stale = function* () {
      const population = yield* start(2);
      yield* step(population);
      yield* step(population);
      return { finalists: population, best: 0 };
    };
    await expect(runSearch({ ...(await searchInput("single", 8)), strategy: stale })).rejects.toThrow(
      /was replaced/,
    );
  });

  it("refuses an unfinished answer", async () => {
    const early = function* () {
      const { population } = yield* step(yield* start(1));
      yield* score(population, "sum");
      return { finalists: population, best: 0 };
    };
    await expect(runSearch({ ...(await searchInput("single", 8)), strategy: early })).rejects.toMatchObject({
      code: "PLUGIN_INVALID",
    });
  });

  it("knows ancestors by id", () => {
    expect(lineageOf("c3.1.2")).toEqual(["c3", "c3.1"]);
    expect(parentOf("c3")).toBeNull();
  });
});

describe("sessions", () => {
  it("are all released, after success, failure and abort", async () => {
    const failing = analyticReward("sum", () => Number.NaN);
    for (const name of ["beam", "restart", "tts-var"]) {
      const generator = analyticGenerator();
      await runSearch(await searchInput(name, 6, { generator }));
      expect(generator.open).toBe(0);
      await expect(
        runSearch(await searchInput(name, 6, { generator, rewards: { sum: failing } })),
      ).rejects.toThrow();
      expect(generator.open).toBe(0);
      const abort = new AbortController();
      const onProgress = ({ stage }: ProgressEvent) => stage === 2 && abort.abort(new Error("stop"));
      const stopped = searchInput(name, 6, { generator, signal: abort.signal, onProgress });
      await expect(stopped.then(runSearch)).rejects.toThrow("stop");
      expect(generator.open).toBe(0);
    }
  });
});

describe("progress", () => {
  it("tells stage and spending after every action", async () => {
    const seen: ProgressEvent[] = [];
    const input = await searchInput("tts-var", 6, { onProgress: (event) => seen.push(event) });
    const { spending } = await runSearch(input);
    expect(seen.at(-1)).toMatchObject({ action: "end", stage: 6, stages: 6, spent: spending.total });
    expect(seen.every(({ spent }, index) => index === 0 || spent >= seen[index - 1]!.spent)).toBe(true);
  });
});

describe("plug-in strategies", () => {
  it("run through the same loop, planned and replayable", async () => {
    const { create } = defineStrategy({
      name: "custom",
      summary: "keeps the better of two twice",
      source: "test",
      options: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } },
      create: () =>
        function* ({ reward }) {
          let pair = yield* stepTo(yield* start(2), 3);
          const scores = yield* score(pair, reward);
          const better = scores[0]! >= scores[1]! ? 0 : 1;
          pair = yield* select(pair, [better, better], { better });
          const spare = yield* start(1);
          yield* release(spare);
          return { finalists: yield* stepTo(pair, 6), best: 0 };
        },
    });
    const input = { ...(await searchInput("single", 4)), strategy: create({}) };
    const { events, result } = await record(input);
    expect(result.spending).toEqual(result.plan.spending);
    expect(replayTrace(planInputOf(input), events).difference).toBeNull();
  });
});

describe("replay", () => {
  it("reports the first event that differs", async () => {
    const input = await searchInput("tts-var", 6);
    const { events } = await record(input);
    const at = events.findIndex((event) => event.type === "scores");
    const altered = structuredClone(events) as unknown as { raw: number[] }[];
    altered[at]!.raw = altered[at]!.raw.map((raw) => -raw);
    const { difference } = replayTrace(planInputOf(input), altered as never);
    expect(difference!.index).toBe(at + 1);
    expect(difference!.recorded!.type).toBe("select");
    const other = await searchInput("tts-var", 6, { options: { lambda: 50 } });
    expect(replayTrace(planInputOf(other), events).difference!.recorded!.type).toBe("select");
    expect(replayTrace(planInputOf(input), events.slice(0, -1)).difference!.recorded).toBeNull();
  });
});

describe("a reward that only compares", () => {
  it("scores the candidates of one question by each other, in the answer and in the trace", async () => {
    const sum = analyticReward();
    const rank = analyticReward("sum", undefined, {
      score: async (batch, context) => {
        const { scores } = await sum.score(batch, context);
        return { scores: batch.map(() => 0), details: Array.from(scores, (raw) => ({ raw })) };
      },
      among: (details) =>
        details.map(
          (mine) => details.filter((other) => (other!["raw"] as number) < (mine!["raw"] as number)).length,
        ),
    });
    const plain = await runSearch(await searchInput("best-of-n", 4));
    const { result, events } = await record(await searchInput("best-of-n", 4, { rewards: { sum: rank } }));
    expect(result.best.id).toBe(plain.best.id);
    expect(result.candidates.map(({ scores }) => scores["sum"]).sort()).toEqual([0, 1, 2, 3]);
    expect(result.best.scores["sum"]).toBe(3);
    const scored = events.find(({ type }) => type === "scores");
    expect(scored).toMatchObject({ raw: result.candidates.map(({ scores }) => scores["sum"]) });
  });
});
