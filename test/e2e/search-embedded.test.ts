import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type OpenSearch,
  openSearch,
  type PlannedSearch,
  planConfig,
} from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { TraceEvent } from "../../src/core/trace.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { runSearch } from "../../src/engine/run-search.ts";
import { packageRoot } from "../../src/io/package-root.ts";

async function plan(strategy: string, budget: number, threads: number): Promise<PlannedSearch> {
  const { config } = resolveConfig({
    flags: [
      { path: "task.prompt", value: "a photo of a red dog left of a blue cup", flag: "test" },
      { path: "strategy.name", value: strategy, flag: "test" },
      { path: "budget", value: budget, flag: "test" },
      { path: "threads", value: threads, flag: "test" },
    ],
  });
  return planConfig(config, { baseDir: packageRoot(), allowDownload: false, log: () => {} });
}

/** The trace of a planned search on models that are open already. */
async function traceOf(planned: PlannedSearch, models: OpenSearch, prompt = planned.task.prompt) {
  const lines: string[] = [];
  const { config } = planned;
  await runSearch({
    ...planned,
    generator: models.generator,
    rewards: { [config.reward.name]: models.reward },
    primaryReward: config.reward.name,
    features: models.features,
    task: { ...planned.task, prompt },
    units: config.budget,
    trace: { event: (event) => void lines.push(`${JSON.stringify(event)}\n`) },
  });
  return lines.join("");
}

describe.each([
  ["tts-var", 4],
  ["halving", 3],
  ["beam", 5],
  ["fk-steering", 3],
  ["quality-diversity", 3],
  ["spread", 3],
  ["calibrated-stop", 3],
] as const)("%s on the embedded models", { timeout: 120_000 }, (strategy, budget) => {
  it("writes the same trace with one thread and with two, alone and beside other prompts, and decides it again", async () => {
    const planned = await plan(strategy, budget, 1);
    const alone = await traceOf(planned, one);
    const [beside, other] = await Promise.all([
      traceOf(planned, two),
      traceOf(planned, two, "a photo of three cats"),
    ]);
    await planned[Symbol.asyncDispose]();
    expect(beside).toBe(alone);
    expect(other).not.toBe(alone);
    const events = alone
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as TraceEvent);
    expect(replayTrace(planned.planInput, events)).toEqual({ agreed: events.length, difference: null });
  });
});

/** The models with one thread and with two; this strategy wants all of them, features included. */
let one: OpenSearch;
let two: OpenSearch;
beforeAll(async () => {
  one = await openSearch(await plan("tts-var", 4, 1));
  two = await openSearch(await plan("tts-var", 4, 2));
}, 120_000);
afterAll(async () => {
  await one?.[Symbol.asyncDispose]();
  await two?.[Symbol.asyncDispose]();
});
