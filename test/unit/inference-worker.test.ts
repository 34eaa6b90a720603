import { afterAll, describe, expect, it } from "vitest";
import { openRemote, type Remote, warmThreads } from "../../src/inference/runtime/worker/inference-worker.ts";
import type { CalculatorMethods } from "../fixtures/worker/calculator.ts";

// The service of this test shares classes with the sources.
const compiled = process.env["TTS_VAR_COMPILED"];
delete process.env["TTS_VAR_COMPILED"];
afterAll(() => {
  if (compiled !== undefined) process.env["TTS_VAR_COMPILED"] = compiled;
});

const module = new URL("../fixtures/worker/calculator.ts", import.meta.url);
const open = (offset: number): Promise<Remote<CalculatorMethods>> =>
  openRemote(module, { offset }, "scoring");

describe("inference worker", () => {
  it("hosts several services in one thread and keeps calls apart", async () => {
    const [one, two] = await Promise.all([open(1), open(100)]);
    const sums = await Promise.all([one.call("add", 1, 2), two.call("add", 1, 2), one.call("add", 5, 5)]);
    expect(sums).toEqual([4, 103, 11]);
    await one[Symbol.asyncDispose]();
    expect(await two.call("add", 0, 0)).toBe(100);
    expect([...(await two.call("ramp", 4))]).toEqual([0, 1, 2, 3]);
    await two[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  it("opens a service in the thread that was started for it, and tells what is missing only then", async () => {
    const missing = new URL("../fixtures/worker/nothing.ts", import.meta.url);
    warmThreads(new Map([["scoring", module]]));
    warmThreads(new Map([["generator 7", missing]]));
    const [one, two] = await Promise.all([open(1), open(2)]);
    expect(await one.call("thread")).toBe(await two.call("thread"));
    await expect(openRemote(missing, {}, "generator 7")).rejects.toThrow(/nothing/);
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
  });

  it("lets generator and scorer compute at the same time", async () => {
    const scorer = await open(0);
    const generator: Remote<CalculatorMethods> = await openRemote(module, { offset: 0 }, "generator 0");
    const flag = new SharedArrayBuffer(4);
    // On one thread, the second call would wait for the first, which waits for it.
    const held = generator.call("hold", flag);
    await scorer.call("release", flag);
    expect(["ok", "not-equal"]).toContain(await held);
    await generator[Symbol.asyncDispose]();
    await scorer[Symbol.asyncDispose]();
  });

  it("brings coded errors over as what they were, and others with name and message", async () => {
    await expect(open(-1)).rejects.toMatchObject({ code: "CONFIG_INVALID", details: { offset: -1 } });
    const remote = await open(0);
    await expect(remote.call("refuse")).rejects.toMatchObject({
      name: "TtsVarError",
      code: "MODEL_INVALID",
      exitCode: 3,
      details: { file: "x" },
    });
    await expect(remote.call("trip")).rejects.toMatchObject({ name: "RangeError", message: "tripped" });
    expect(await remote.call("add", 1, 1)).toBe(2);
    await remote[Symbol.asyncDispose]();
  });

  it("rejects every open call when the thread dies, and starts a new thread afterwards", async () => {
    const remote = await open(0);
    const calls = [remote.call("exit"), remote.call("add", 1, 1)];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "MODEL_RUNTIME" });
    await expect(remote.call("add", 1, 1)).rejects.toThrow(/stopped with code 9/);
    await remote[Symbol.asyncDispose]();
    const next = await open(2);
    expect(await next.call("add", 1, 1)).toBe(4);
    await next[Symbol.asyncDispose]();
  });
});
