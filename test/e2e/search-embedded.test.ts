import { describe, expect, it } from "vitest";
import { openSearch, planConfig } from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { TraceEvent } from "../../src/core/trace.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { packageRoot } from "../../src/io/package-root.ts";

/** A search of the embedded models, opened with so many threads. */
async function open(strategy: string, budget: number, threads: number) {
  const { config } = resolveConfig({
    flags: [
      { path: "task.prompt", value: "a photo of a red dog left of a blue cup", flag: "test" },
      { path: "strategy.name", value: strategy, flag: "test" },
      { path: "budget", value: budget, flag: "test" },
      { path: "threads", value: threads, flag: "test" },
    ],
  });
  const planned = await planConfig(config, { baseDir: packageRoot(), allowDownload: false, log: () => {} });
  const models = await openSearch(planned);
  const run = async (prompt = planned.task.prompt) => {
    const lines: string[] = [];
    const trace = { event: (event: TraceEvent) => lines.push(`${JSON.stringify(event)}\n`) };
    await models.run({ ...planned.task, prompt }, { trace: { event: (event) => void trace.event(event) } });
    return lines.join("");
  };
  return { planned, run, [Symbol.asyncDispose]: () => models[Symbol.asyncDispose]() };
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
    const one = await open(strategy, budget, 1);
    const alone = await one.run();
    await one[Symbol.asyncDispose]();
    const two = await open(strategy, budget, 2);
    const [beside, other] = await Promise.all([two.run(), two.run("a photo of three cats")]);
    await two[Symbol.asyncDispose]();
    expect(beside).toBe(alone);
    expect(other).not.toBe(alone);
    const events = alone
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as TraceEvent);
    expect(replayTrace(two.planned.planInput, events)).toEqual({ agreed: events.length, difference: null });
  });
});
