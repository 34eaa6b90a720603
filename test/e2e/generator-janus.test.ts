import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { childIds } from "../../src/core/ids.ts";
import type { Task } from "../../src/core/task.ts";
import { janusDefinition } from "../../src/generators/ordered/janus/definition.ts";
import { readJanus } from "../../src/generators/ordered/janus/model.ts";
import type { CandidateState, JanusNetwork } from "../../src/generators/ordered/janus/network.ts";
import { loadJanus, openJanusNetwork } from "../../src/generators/ordered/janus/open.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

const dir = resolve("test/fixtures/models/janus-tiny");
const SIDE = 6;

/** What transformers' PyTorch classes gave; `python -m ttsvar.janus.tiny` records it. */
interface Golden {
  readonly prompt: string;
  readonly seed: number;
  readonly guidance: number;
  readonly forced: readonly number[];
  readonly logits: readonly (readonly number[])[];
  readonly logitsReleased: readonly (readonly number[])[];
  readonly drawn: Readonly<Record<string, readonly number[]>>;
  readonly drawnReleased: Readonly<Record<string, readonly number[]>>;
  readonly image: readonly number[];
}

let golden: Golden;
let generator: Generator;
beforeAll(async () => {
  golden = JSON.parse(await readFile("test/fixtures/models/janus-tiny-golden.json", "utf8"));
  generator = await loadJanus(dir, { settings: { dtype: "fp32" } });
}, 120_000);
afterAll(() => generator[Symbol.asyncDispose]());

const task = (): Task => ({ prompt: golden.prompt, seed: golden.seed });

/** Tokens of all rows of a finished population, by id. */
async function drawnBy(of: Generator, ids: readonly string[]): Promise<Record<string, number[]>> {
  const session = await of.start(task(), ids);
  while (session.stage < of.traits.stages.length) await session.step();
  const tokens: Record<string, number[]> = {};
  for (const [row, id] of session.ids.entries()) {
    tokens[id] = [];
    for (const { index } of of.traits.stages) {
      tokens[id].push(...(await session.tokens([row], index))[0]!.data);
    }
  }
  session.release();
  return tokens;
}

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, at) => Math.max(most, Math.abs(value - b[at]!)), 0);
}

describeSampler("janus-tiny", () => loadJanus(dir, { settings: { dtype: "fp32" } }), {
  prompts: ["a photo of a dog", "a photo of two red cars"],
  otherSettings: { guidance: 2 },
});

describe("a Janus folder against transformers' PyTorch classes", { timeout: 120_000 }, () => {
  let network: JanusNetwork;
  let close: () => Promise<void>;
  beforeAll(async () => {
    ({ network, close } = await openJanusNetwork(await readJanus(dir, { dtype: "fp32" })));
  });
  afterAll(() => close());

  it.each([
    ["original", "logits"],
    ["released", "logitsReleased"],
  ] as const)(
    "guided logits under forced tokens, unconditional prompt as %s",
    async (unconditional, name) => {
      const { guidance } = golden;
      const begun = await network.begin(golden.prompt, { guidance, unconditional });
      // Three candidates side by side, one of them under other tokens.
      let states: readonly CandidateState[] = [begun, begun, begun];
      for (const [at, token] of golden.forced.entries()) {
        // What a query says that sees nothing, such as the last of `released`'s prompt, is every graph's own affair.
        for (const index of at === 0 && unconditional === "released" ? [] : [0, 2]) {
          const [cond, uncond] = states[index]!;
          const guided = cond.logits.map(
            (c, code) => uncond!.logits[code]! + guidance * (c - uncond!.logits[code]!),
          );
          expect(worst(golden[name][at]!, guided)).toBeLessThan(2e-4);
        }
        states = await network.step(states, [token, (token + 1) % 48, token]);
      }
    },
  );

  it("draws token for token what they draw, keyed by candidate and row", async () => {
    const { c0, c1, c2 } = golden.drawn;
    expect(await drawnBy(generator, ["c0", "c1", "c2"])).toEqual({ c0, c1, c2 });
    const released = await generator.withSettings!({ unconditional: "released" });
    expect(await drawnBy(released, ["c0"])).toEqual(golden.drawnReleased);
  });

  it("does so in a batch that is pruned and copied, bit for bit", async () => {
    const session = await generator.start(task(), ["c0", "c1", "c2"]);
    await session.step();
    await session.step();
    const parents = [1, 1];
    const ids = childIds(session.ids, parents, new Map());
    expect(ids).toEqual(["c1", "c1.1"]);
    await session.select(ids.map((id, index) => ({ parent: parents[index]!, id })));
    const plain = await generator.start(task(), ["c1"]);
    while (plain.stage < 2) await plain.step();
    while (session.stage < SIDE) {
      const [mine, alone] = [await session.step(), await plain.step()];
      // Not only the tokens: the logits' bits are equal.
      for (const name of ["logProb", "entropy", "guidanceGap"]) {
        expect(mine.values[name]![0]).toBe(alone.values[name]![0]);
      }
    }
    for (const [row, id] of ["c1", "c1.1"].entries()) {
      const tokens = await Promise.all(
        generator.traits.stages.map(({ index }) => session.tokens([row], index)),
      );
      expect(tokens.flatMap(([each]) => Array.from(each!.data))).toEqual(golden.drawn[id]);
    }
  });

  it("decodes the picture that they decode", async () => {
    const image = await network.decode(Int32Array.from(golden.drawn["c0"]!));
    expect(image.dims).toEqual([1, 3, 24, 24]);
    expect(worst(golden.image, image.data)).toBeLessThan(2e-4);
  });
});

describe("a Janus generator", { timeout: 120_000 }, () => {
  it("tells stages, price and memory before anything is loaded, by rows a stage", async () => {
    const { describe: plan } = janusDefinition(dir);
    const rows = await plan({ settings: { rowsPerStage: 4 } });
    expect(rows.stages).toEqual([
      { index: 0, label: "rows 1-4", tokens: 24, final: 4 / 6 },
      { index: 1, label: "rows 5-6", tokens: 12, final: 1 },
    ]);
    expect(rows.settings).toMatchObject({ guidance: 5, unconditional: "original", dtype: "fp32" });
    const sum = (list: readonly number[]): number => list.reduce((total, value) => total + value, 0);
    const unguided = await plan({ settings: { guidance: 1 } });
    const whole = sum((await plan()).cost.stages);
    expect(sum(rows.cost.stages)).toBeCloseTo(whole);
    expect(sum(unguided.cost.stages)).toBeCloseTo(whole / 2);
    // By hand: 2 layers of 32 x (4 + 4 + 2 + 2) x 8 and 3 x 32 x 64 weights, head 32 x (32 + 48); context 24 to 59.
    const token = (context: number) => 2 * (2 * (32 * 96 + 3 * 32 * 64) + 4 * 32 * context) + 2 * 32 * 80;
    expect(whole).toBeCloseTo(2 * sum(Array.from({ length: 36 }, (_, at) => token(24 + at))));
    expect(rows.memory!.weights).toBeGreaterThan(700_000);
    // Keys and values: two branches, two layers, two of them, 2 heads x 8, 24 + 24 tokens, 4 bytes.
    expect(rows.memory!.kept).toEqual([2 * 2 * 2 * 16 * 48 * 4, 0]);
  });

  it("draws the same picture whatever a stage is, and however many candidates are computed at once", async () => {
    const { c0, c1 } = golden.drawn;
    const settings = { rowsPerStage: 4, dtype: "fp32" };
    const narrow = await loadJanus(dir, { settings }, { rowsAtOnce: [1, 1], threads: 1 });
    expect(await drawnBy(narrow, ["c0", "c1"])).toEqual({ c0, c1 });
    await narrow[Symbol.asyncDispose]();
  });

  it("draws bit-exactly with one branch, where a pass would have a single row", async () => {
    const alone = await generator.withSettings!({ guidance: 1 });
    const one = await drawnBy(alone, ["c1"]);
    expect((await drawnBy(alone, ["c0", "c1", "c2"]))["c1"]).toEqual(one["c1"]);
  });

  it("opens other precisions by the suffixes of transformers.js, half-precision caches too", async () => {
    const half = await loadJanus(dir, { settings: { dtype: "fp16" } });
    expect(half.traits.settings["dtype"]).toBe("fp16");
    expect(half.traits.version).not.toBe(generator.traits.version);
    const together = await drawnBy(half, ["c0", "c1"]);
    expect((await drawnBy(half, ["c1"]))["c1"]).toEqual(together["c1"]);
    const equal = together["c0"]!.filter((token, at) => token === golden.drawn["c0"]![at]).length;
    expect(equal).toBeGreaterThan(0);
    await half[Symbol.asyncDispose]();
    await expect(loadJanus(dir, { settings: { dtype: "q4" } })).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/dtype is q4, but .* has onnx\/language_model\.onnx as fp32, fp16 only/),
    });
  });

  it("looks at the rows so far, and ahead with the last of them repeated", async () => {
    const session = await generator.start(task(), ["c0"]);
    while (session.stage < 3) await session.step();
    const [now] = await session.view([0], FULL_VIEW);
    const [ahead] = await session.view([0], { size: 1, look: "ahead" });
    const half = (24 * 24 * 3) / 2;
    expect([now!.coverage, ahead!.coverage]).toEqual([0.5, 1]);
    expect(now!.frames[0].data.subarray(0, half)).toEqual(ahead!.frames[0].data.subarray(0, half));
    expect(new Set(now!.frames[0].data.subarray(half))).toEqual(new Set([128]));
    expect(new Set(ahead!.frames[0].data.subarray(half)).size).toBeGreaterThan(8);
    while (session.stage < SIDE) await session.step();
    const done = await Promise.all(
      (["now", "ahead"] as const).map(async (look) => (await session.view([0], { size: 1, look }))[0]),
    );
    expect(done[0]).toEqual(done[1]);
  });

  it("says what is wrong with settings, shapes and prompts", async () => {
    const { describe: plan } = janusDefinition(dir);
    await expect(plan({ settings: { rowsPerStage: 7 } })).rejects.toThrow(
      /rowsPerStage is 7, .* have 6 rows/,
    );
    await expect(plan({ settings: { guidence: 3 } })).rejects.toThrow(/did you mean "guidance"/);
    await expect(plan({ settings: { dtype: "half" } })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(plan({ shape: { ratio: "16:9" } })).rejects.toThrow(/no ratio 16:9; it has 1:1 \(24x24\)/);
    const long = "a dog ".repeat(120);
    await expect(generator.start({ prompt: long, seed: 1 }, ["c0"])).rejects.toThrow(
      /the prompt has \d+ tokens, but janus-tiny has room for 220/,
    );
  });
});
