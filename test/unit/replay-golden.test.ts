import { readdir, readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { TraceEvent } from "../../src/core/trace.ts";
import { replayTrace } from "../../src/engine/replay.ts";
import { goldenDir, goldenInput, goldenNames, goldenPath } from "./support/golden.ts";
import { planInputOf, record } from "./support/search-run.ts";

describe("golden traces", () => {
  it.each(goldenNames)("%s is written and decided again byte for byte", async (name) => {
    const golden = await readFile(goldenPath(name), "utf8");
    const input = await goldenInput(name);
    expect((await record(input)).text).toBe(golden);
    const events = golden
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as TraceEvent);
    expect(replayTrace(planInputOf(input), events)).toEqual({ agreed: events.length, difference: null });
  });

  it("are exactly those that are tested", async () => {
    expect((await readdir(goldenDir)).sort()).toEqual(goldenNames.map((name) => `${name}.jsonl`).sort());
  });

  it("do not depend on other searches running beside them", async () => {
    const names = goldenNames.slice(0, 4);
    const together = await Promise.all(
      names.map(async (name) => (await record(await goldenInput(name))).text),
    );
    const golden = await Promise.all(names.map((name) => readFile(goldenPath(name), "utf8")));
    expect(together).toEqual(golden);
  });
});
