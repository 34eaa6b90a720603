import { describe, expect, it } from "vitest";
import { refine, rewind, score, start, step, stepTo } from "../../src/core/program.ts";
import type { SearchFunction } from "../../src/core/strategy.ts";
import type { TraceEvent } from "../../src/core/trace.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { canvasDefinition, canvasScore } from "../../src/generators/toys/canvas.ts";

const reward = {
  ...{ name: "canvas", version: "1", direction: "higher" as const, range: [0, 1] as const },
  ...{ suggestedLambda: 1, flops: 0 },
};
const prompt = "a quilt";

/** Refines a share after two stages, and goes back to one from three. */
const program = (share: number, to: number): SearchFunction =>
  function* (space) {
    const two = yield* stepTo(yield* start(2), 2);
    const { population } = yield* refine(two, share);
    const three = (yield* step(population)).population;
    const finalists = yield* stepTo(yield* rewind(three, to), space.stages.length);
    const scores = yield* score(finalists, space.reward);
    return { finalists, best: scores[0]! >= scores[1]! ? 0 : 1 };
  };

async function record(strategy: SearchFunction) {
  const generator = await canvasDefinition.open();
  const trace: TraceEvent[] = [];
  const canvas = {
    ...reward,
    score: async (batch: readonly { image: Parameters<typeof canvasScore>[0] }[]) => ({
      scores: batch.map(({ image }) => canvasScore(image, prompt)),
    }),
    [Symbol.asyncDispose]: async () => {},
  };
  const input = {
    ...{ strategy, primaryReward: "canvas", units: 8, features: null, calibration: null },
    rewards: { canvas } as never,
  };
  const task = { prompt, seed: 3 };
  const result = await runSearch({
    ...{ ...input, generator, task },
    trace: { event: (event) => trace.push(JSON.parse(JSON.stringify(event))) },
  });
  const replay = (other: SearchFunction) =>
    replayTrace(
      { ...input, strategy: other, generator: generator.traits, features: null, seed: 3, prompt } as never,
      trace,
    );
  return { trace, result, replay };
}

describe("verbs that draw anew", () => {
  it("stand in the trace with what they asked for, and are replayed", async () => {
    const { trace, result, replay } = await record(program(0.5, 1));
    const refined = trace.find(({ type }) => type === "refine");
    expect(refined).toMatchObject({ stage: 1, ids: ["c0.1", "c1.1"], share: 0.5 });
    expect(Object.keys((refined as { signals: object }).signals)).toContain("logProb");
    expect(trace.find(({ type }) => type === "rewind")).toEqual({
      ...{ type: "rewind", population: 0, stage: 0, ids: ["c0.1.1", "c1.1.1"], to: 1 },
    });
    expect(result.candidates.map(({ id, parent }) => [id, parent])).toEqual([
      ["c0.1.1", "c0.1"],
      ["c1.1.1", "c1.1"],
    ]);
    expect(replay(program(0.5, 1))).toEqual({ agreed: trace.length, difference: null });
  });

  it("another share or another stage is a difference", async () => {
    const { trace, replay } = await record(program(0.5, 1));
    const at = (type: string) => trace.findIndex((event) => event.type === type);
    expect(replay(program(0.75, 1)).difference).toMatchObject({
      index: at("refine"),
      replayed: { share: 0.75 },
    });
    expect(replay(program(0.5, 2)).difference).toMatchObject({ index: at("rewind"), replayed: { to: 2 } });
  });
});
