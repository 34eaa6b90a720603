import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator } from "../../src/core/generator.ts";
import { framesHash, type RgbImage } from "../../src/core/image.ts";
import type { Tensor } from "../../src/core/tensor.ts";
import { flowStep } from "../../src/generators/block-flow/flow.ts";
import { runCells } from "../../src/generators/block-flow/network.ts";
import { posterior } from "../../src/generators/discrete-diffusion/schedule.ts";
import { type FrameMemory, runFrames } from "../../src/generators/frames/network.ts";
import { generatorOfFolder } from "../../src/generators/index.ts";
import { denoise } from "../../src/generators/masked-set/diffusion.ts";
import { normalLevels } from "../../src/generators/masked-set/levels.ts";
import { stagesOf } from "../../src/generators/ordered/nar/groups.ts";
import { type OrtSession, openOrtSession } from "../../src/inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../src/inference/runtime/tokenizer.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

// Folders with random weights that the exporters wrote: training/ttsvar/{discrete_diffusion,ordered,masked_set,block_flow}/export.py.
const models = new URL("../fixtures/models/canvas-tiny/", import.meta.url);
const folder = (name: string) => fileURLToPath(new URL(name, models));
const prompts = ["a photo of a dog", "a photo of two red cars"] as const;
const here = { inProcess: true, threads: 1 };

const open = async (name: string) => (await generatorOfFolder(folder(name))).open({}, here);

const otherSettings = { guidance: 1 };

function picture(seed: number): RgbImage {
  const data = Uint8Array.from({ length: 64 * 64 * 3 }, (_, at) => (at * 7 + seed * 91) % 251);
  return { width: 64, height: 64, data };
}

/** The contract's tasks have no source. */
function editing(generator: Generator, source: RgbImage): Generator {
  return {
    ...generator,
    start: (task, ids) => generator.start({ ...task, source }, ids),
    withSettings: async (settings) => editing(await generator.withSettings!(settings), source),
  };
}
describeSampler("discrete diffusion", () => open("vq-ddm"), { prompts, otherSettings });
describeSampler("anti-diagonals", () => open("nar"), { prompts, otherSettings });
describeSampler("planes of a clip", () => open("nar-video"), {
  prompts: ["a red car moving right", "a blue dog moving up"],
  otherSettings,
});
describeSampler("raster", () => open("raster"), { prompts, otherSettings: { temperature: 3 } });
describeSampler("flow by cells", () => open("xar"), { prompts, otherSettings });
describeSampler("masked set", () => open("mar"), { prompts, otherSettings: { order: "raster" } });
describeSampler("masked set, channel by channel", () => open("tokenbridge"), { prompts, otherSettings });
describeSampler("next frame", () => open("far"), {
  prompts: ["a red car moving right", "a blue dog moving up"],
  otherSettings,
});
describeSampler("plan, then frames", () => open("epona"), {
  prompts: ["a red car driving up past a stop sign below", "a blue car driving down past a stop sign above"],
  otherSettings,
});
describeSampler("cascade", () => open("cascade"), { prompts, otherSettings: { augment: 0 } });
describeSampler("editor", async () => editing(await open("unipic"), picture(1)), {
  prompts: ["make the cup red", "remove the dog"],
  otherSettings,
});

interface Recorded {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

type Golden<Name extends string> = { readonly prompt: string; readonly ids: readonly number[] } & {
  readonly [name in Name]: Recorded;
};
const goldenOf = <Recording>(name: string): Recording =>
  JSON.parse(readFileSync(new URL(`${name}/golden.json`, models), "utf8")) as Recording;
const worst = (found: ArrayLike<number>, expected: readonly number[]): number =>
  expected.reduce((most, value, at) => Math.max(most, Math.abs(value - found[at]!)), 0);
const integers = ({ values }: Recorded) => BigInt64Array.from(values, BigInt);

/** Graphs of a folder with a prompt's conditioning in both groups, closed when the work is done. */
async function withGraphs(
  name: string,
  { prompt, ids }: Golden<never>,
  graphs: readonly string[],
  work: (groups: readonly Record<string, Tensor>[], ...open: OrtSession[]) => Promise<void>,
): Promise<void> {
  expect((await loadTokenizer(folder(name), 32)).encode(prompt)).toEqual(ids);
  const [reader, ...others] = await Promise.all(
    ["prompt", ...graphs].map((graph) => openOrtSession(folder(`${name}/${graph}.onnx`), { threads: 1 })),
  );
  const both = await reader!.run({
    input_ids: { dims: [1, ids.length], data: BigInt64Array.from(ids, BigInt) },
  });
  const groups = [0, 1].map((group) =>
    Object.fromEntries(
      Object.entries(both).map(([key, { dims, data }]) => {
        const half = data.length / 2;
        return [key, { dims: [1, ...dims.slice(1)], data: data.slice(group * half, (group + 1) * half) }];
      }),
    ),
  );
  await work(groups, ...others);
  await Promise.all([reader!, ...others].map((graph) => graph[Symbol.asyncDispose]()));
}

describe("canvas families against PyTorch", () => {
  it("discrete diffusion: logits of both groups, and the posterior", async () => {
    const golden = goldenOf<
      Golden<"codes" | "text" | "none" | "clean" | "posterior"> & Record<"time" | "target", number>
    >("vq-ddm");
    await withGraphs("vq-ddm", golden, ["step"], async (groups, step) => {
      for (const [group, expected] of [golden.text, golden.none].entries()) {
        const { logits } = await step!.run({
          codes: { dims: [2, 64], data: integers(golden.codes) },
          time: { dims: [1], data: Float32Array.of(golden.time) },
          ...groups[group]!,
        });
        expect(worst(logits!.data, expected.values)).toBeLessThan(1e-4);
      }
    });
    const [tokens, entries] = golden.clean.shape as [number, number];
    for (let token = 0; token < tokens; token++) {
      const at = [token * entries, (token + 1) * entries] as const;
      const out = new Float64Array(entries);
      const clean = Float64Array.from(golden.clean.values.slice(...at));
      posterior(clean, golden.codes.values[token]!, golden.time, golden.target, out);
      expect(worst(out, golden.posterior.values.slice(...at))).toBeLessThan(1e-12);
    }
  });

  it.each(["nar", "nar-video", "raster"] as const)(
    "%s: a pass over what is known, averaged over heads",
    async (name) => {
      const golden = goldenOf<Golden<"codes" | "order" | "positions" | "logits">>(name);
      const groups = stagesOf(
        name === "raster" ? "raster" : "diagonal",
        8,
        name === "nar-video" ? 3 : 1,
      ).flat();
      const order = groups.flatMap(({ positions }) => positions);
      expect(order).toEqual(golden.order.values);
      const entries = golden.logits.shape[1]!;
      await withGraphs(name, golden, ["step"], async ([text], step) => {
        for (const [index, position] of golden.positions.values.entries()) {
          const group = groups.find(({ positions }) => positions.includes(position))!;
          const sources = group.sources[group.positions.indexOf(position)]!;
          const known = order.slice(0, order.indexOf(group.positions[0]!));
          const codes = [entries, ...known.map((at) => golden.codes.values[at]!)];
          const at = sources.map((place) => Math.max(0, place));
          const { logits } = await step!.run({
            codes: { dims: [1, codes.length], data: BigInt64Array.from(codes, BigInt) },
            at: { dims: [at.length], data: BigInt64Array.from(at, BigInt) },
            ...text!,
          });
          const heads = [...sources.keys()].filter((head) => sources[head]! >= 0);
          const mean = Array.from({ length: entries }, (_, entry) =>
            heads.reduce((sum, head) => sum + logits!.data[(head * at.length + head) * entries + entry]!, 0),
          ).map((sum) => sum / heads.length);
          const expected = golden.logits.values.slice(index * entries, (index + 1) * entries);
          expect(worst(mean, expected)).toBeLessThan(1e-4);
        }
      });
    },
  );

  it("masked set: the decoder's vectors, noise of a token, a step of its diffusion", async () => {
    const golden = goldenOf<
      Golden<"tokens" | "known" | "vectors" | "x" | "fresh" | "noise" | "after"> &
        Record<"time" | "target" | "temperature", number>
    >("mar");
    const floats = ({ shape, values }: Recorded) => ({ dims: shape, data: Float32Array.from(values) });
    await withGraphs("mar", golden, ["step", "head"], async ([text], step, head) => {
      const inputs = { tokens: floats(golden.tokens), known: floats(golden.known), ...text! };
      const { vectors } = await step!.run(inputs);
      expect(worst(vectors!.data, golden.vectors.values)).toBeLessThan(1e-4);
      const width = golden.vectors.shape[1]!;
      const time = { dims: [1], data: Float32Array.of(golden.time) };
      const vector = { dims: [4, width], data: vectors!.data.slice(0, 4 * width) };
      const { noise } = await head!.run({ x: floats(golden.x), time, vector });
      expect(worst(noise!.data, golden.noise.values)).toBeLessThan(1e-4);
    });
    const x = Float64Array.from(golden.x.values);
    const fresh = (at: number) => golden.temperature * golden.fresh.values[at]!;
    denoise(x, golden.noise.values, golden.time, golden.target, fresh);
    expect(worst(x, golden.after.values)).toBeLessThan(1e-9);
  });
});

describe("a masked set channel by channel", () => {
  it("computes the recorded logits of the next channel, and tells log-probabilities", async () => {
    const golden = goldenOf<Golden<"vectors" | "read" | "logits">>("tokenbridge");
    const head = await openOrtSession(folder("tokenbridge/head.onnx"), { threads: 1 });
    const width = golden.vectors.shape[1]!;
    const { logits } = await head.run({
      levels: { dims: golden.read.shape, data: integers(golden.read) },
      vector: { dims: [4, width], data: Float32Array.from(golden.vectors.values.slice(0, 4 * width)) },
    });
    expect(worst(logits!.data, golden.logits.values)).toBeLessThan(1e-4);
    await head[Symbol.asyncDispose]();
    const generator = await open("tokenbridge");
    const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0", "c1"]);
    const { values } = await session.step();
    expect([...values["logProb"]!].every((value) => value < 0)).toBe(true);
    const [tokens] = await session.tokens([0], 0);
    const levels = normalLevels(4).map(Math.fround);
    for (const [at, value] of tokens!.data.entries()) if (at % 5 < 4) expect(levels).toContain(value);
    await generator[Symbol.asyncDispose]();
  });
});

describe("flow by cells", () => {
  it("computes the recorded velocities after a finished cell, and both kinds of step", async () => {
    const golden = goldenOf<
      Golden<"first" | "second" | "velocity" | "fresh" | "stochastic" | "plain"> &
        Record<"time" | "target", number>
    >("xar");
    await withGraphs("xar", golden, ["step"], async ([text], step) => {
      const graph = { step: step!, depth: 2, heads: 2, headDim: 16, tokens: 16, values: 4 };
      const first = { tokens: golden.first.values, past: [] };
      const [closed] = await runCells(graph, [first], 0, 0, text!, true);
      const second = { tokens: golden.second.values, past: [closed!.memory] };
      const [found] = await runCells(graph, [second], 1, golden.time, text!);
      expect(worst(found!.velocity, golden.velocity.values)).toBeLessThan(1e-4);
    });
    for (const [expected, fresh] of [
      [golden.stochastic, (at: number) => golden.fresh.values[at]!],
      [golden.plain, null],
    ] as const) {
      const x = Float64Array.from(golden.second.values);
      flowStep(x, golden.velocity.values, golden.time, golden.target, fresh);
      expect(worst(x, expected.values)).toBeLessThan(1e-12);
    }
  });

  it("parts copies under a deterministic solver by the noise of the next cell alone", async () => {
    const definition = await generatorOfFolder(folder("xar"));
    const generator = await definition.open({ settings: { solver: "ode" } }, here);
    const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0"]);
    await session.step();
    await session.select([
      { parent: 0, id: "c0" },
      { parent: 0, id: "c0.1" },
    ]);
    await session.step();
    const [one, two] = await session.tokens([0, 1], 1);
    expect(one!.data).not.toEqual(two!.data);
    expect((await session.tokens([0, 1], 0))[0]).toEqual((await session.tokens([1], 0))[0]);
    await generator[Symbol.asyncDispose]();
  });
});

describe("clips frame by frame", () => {
  it.each(["far", "epona"] as const)(
    "%s: velocities after a frame in outline and one in full",
    async (name) => {
      const golden = goldenOf<
        Golden<"frames" | "velocity" | "plan" | "poses" | "planVelocity"> & Record<"time", number>
      >(name);
      await withGraphs(
        name,
        golden,
        ["step", ...(name === "epona" ? ["plan"] : [])],
        async ([text], step, plan) => {
          const graphs = {
            ...{ step: step!, depth: 2, heads: 2, headDim: 16, side: 8, values: 4 },
            patch: { full: 2, outline: 4 },
          };
          const input = (frame: number, past: readonly FrameMemory[]) => ({
            ...{ tokens: golden.frames.values.slice(frame * 256, (frame + 1) * 256), past },
            pose:
              golden.poses &&
              ([0, 1].map((axis) => golden.poses.values[2 * frame + axis]!) as [number, number]),
          });
          const [first] = await runFrames(graphs, [input(0, [])], 0, "outline", text!);
          const [second] = await runFrames(graphs, [input(1, [first!.memory])], 1, "full", text!);
          const past = [first!.memory, second!.memory];
          const [found] = await runFrames(graphs, [input(2, past)], 2, golden.time, text!);
          expect(worst(found!.velocity, golden.velocity.values)).toBeLessThan(1e-4);
          if (!plan) return;
          const { velocity } = await plan.run({
            plan: { dims: golden.plan.shape, data: Float32Array.from(golden.plan.values) },
            time: { dims: [1], data: Float32Array.of(golden.time) },
            sos: text!["sos"]!,
          });
          expect(worst(velocity!.data, golden.planVelocity.values)).toBeLessThan(1e-4);
        },
      );
    },
  );

  it("forks part by the noise of their next frame, and a plan is shown before any frame is paid for", async () => {
    const generator = await open("epona");
    const session = await generator.start({ prompt: "a red car driving up", seed: 1 }, ["c0"]);
    await session.step();
    const [plan] = await session.view([0], FULL_VIEW);
    expect([plan!.frames.length, generator.traits.cost.viewShares![0]]).toEqual([3, 0]);
    await session.select([
      { parent: 0, id: "c0" },
      { parent: 0, id: "c0.1" },
    ]);
    await session.step();
    const [one, two] = await session.tokens([0, 1], 1);
    expect(one!.data).not.toEqual(two!.data);
    await generator[Symbol.asyncDispose]();
  });

  it("goes on from a picture as the first frame, and drafts looks", async () => {
    const generator = await open("far");
    const { width, height } = generator.traits.shape;
    const source = {
      width,
      height,
      data: Uint8Array.from({ length: 3 * width * height }, (_, at) => at % 251),
    };
    const session = await generator.start({ prompt: "a red car moving up", seed: 1, source }, ["c0", "c1"]);
    await session.step();
    await session.step();
    const [one, two] = await session.tokens([0, 1], 0);
    expect(one).toEqual(two);
    const [draft] = await session.view([0], { ...FULL_VIEW, quality: "draft" });
    const [whole] = await session.view([0], FULL_VIEW);
    expect([draft!.frames.length, framesHash(draft!.frames) !== framesHash(whole!.frames)]).toEqual([
      2,
      true,
    ]);
    await generator[Symbol.asyncDispose]();
  });
});

describe("discrete diffusion's moves", () => {
  it("repairs a share of the way, in a worker as here", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const draw = async (host: Parameters<typeof definition.open>[1]) => {
      const generator = await definition.open({ settings: { steps: 3 } }, host);
      const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0"]);
      while (session.stage < 3) await session.step();
      await session.refine!(0.5, ["c0.1"]);
      const [picture] = await session.view([0], FULL_VIEW);
      await generator[Symbol.asyncDispose]();
      return framesHash(picture!.frames);
    };
    expect(await draw({ threads: 1 })).toBe(await draw(here));
  });

  it("draws a region anew and keeps the rest of a source (inpainting)", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const generator = await definition.open({ settings: { region: [0, 0, 0.5, 1] } }, here);
    const { width, height } = generator.traits.shape;
    const data = Uint8Array.from({ length: 3 * width * height }, (_, at) => (at * 7) % 251);
    const source = { width, height, data };
    const session = await generator.start({ prompt: prompts[0], seed: 1, source }, ["c0", "c1"]);
    while (session.stage < generator.traits.stages.length) await session.step();
    const [first, second] = await session.tokens([0, 1], session.stage - 1);
    const half = (side: number, values: ArrayLike<number>): number[] =>
      Array.from(values).filter((_, at) => Math.floor((at % 8) / 4) === side);
    expect(half(1, first!.data)).toEqual(half(1, second!.data));
    expect(half(0, first!.data)).not.toEqual(half(0, second!.data));
    await generator[Symbol.asyncDispose]();
  });

  it("refuses settings that it does not have", async () => {
    const definition = await generatorOfFolder(folder("vq-ddm"));
    const describe = (settings: unknown) => definition.describe({ settings });
    await expect(describe({ region: [0.5, 0, 0.5, 1] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(describe({ step: 3 })).rejects.toThrow(/did you mean "steps"/);
    expect((await describe({ steps: 5, guidance: 1 })).stages).toHaveLength(5);
  });
});

describe("masked sets that read another picture, against PyTorch", () => {
  const floats = ({ shape, values }: Recorded) => ({ dims: shape, data: Float32Array.from(values) });

  it("the editor: vectors with a source", async () => {
    const golden = goldenOf<Golden<"tokens" | "known" | "source" | "vectors">>("unipic");
    await withGraphs("unipic", golden, ["step"], async ([text], step) => {
      const { tokens, known, source } = golden;
      const inputs = { tokens: floats(tokens), known: floats(known), source: floats(source) };
      const { vectors } = await step!.run({ ...inputs, ...text! });
      expect(worst(vectors!.data, golden.vectors.values)).toBeLessThan(1e-4);
    });
  });

  it("the cascade: vectors of both levels", async () => {
    const golden = goldenOf<Golden<"tokens" | "known" | "coarse" | "first" | "fine" | "start">>("cascade");
    const line = (first: number, count: number) => ({
      dims: [count],
      data: BigInt64Array.from({ length: count }, (_, at) => BigInt(first + at)),
    });
    const one = (value: number) => ({ dims: [1], data: Float32Array.of(value) });
    await withGraphs("cascade", golden, ["step"], async ([text], step) => {
      const coarse = floats(golden.coarse);
      const fine = await step!.run({
        ...{ tokens: floats(golden.tokens), known: floats(golden.known), at: line(16, 64), coarse },
        ...{ time: one(0.5), seen: one(1), ...text! },
      });
      expect(worst(fine["vectors"]!.data, golden.fine.values)).toBeLessThan(1e-4);
      const masked = coarse.data.map((value, at) => value * golden.first.values[Math.floor(at / 4)]!);
      const start = await step!.run({
        ...{ tokens: { dims: coarse.dims, data: masked }, known: floats(golden.first), at: line(0, 16) },
        ...{ coarse, time: one(0), seen: one(0), ...text! },
      });
      expect(worst(start["vectors"]!.data, golden.start.values)).toBeLessThan(1e-4);
    });
  });

  it("an editor wants a source", async () => {
    const generator = await open("unipic");
    expect(generator.traits.can).toContain("source");
    await expect(generator.start({ prompt: "make the cup red", seed: 1 }, ["c0"])).rejects.toThrow(/--image/);
    const first = await finished(generator, picture(1));
    expect(await finished(generator, picture(2))).not.toBe(first);
    await generator[Symbol.asyncDispose]();
  });

  it("a cascade shows the whole picture from its coarse level on, and what it draws over it", async () => {
    const generator = await open("cascade");
    const { stages } = generator.traits;
    expect(stages.map(({ label }) => label)).toEqual([
      "coarse 1",
      "coarse 2",
      "set 1",
      "set 2",
      "set 3",
      "set 4",
    ]);
    expect(stages.slice(0, 2).reduce((sum, { tokens }) => sum + tokens, 0)).toBe(16);
    const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0"]);
    const covered: number[] = [];
    for (const _ of stages) {
      await session.step();
      covered.push((await session.view([0], { size: 0.5, look: "now" }))[0]!.coverage);
    }
    expect(covered[0]).toBeLessThan(1);
    expect(covered.slice(1)).toEqual([1, 1, 1, 1, 1]);
    await generator[Symbol.asyncDispose]();
  });

  async function finished(generator: Generator, source: RgbImage): Promise<string> {
    const session = await generator.start({ prompt: "make the cup red", seed: 1, source }, ["c0"]);
    while (session.stage < generator.traits.stages.length) await session.step();
    return framesHash((await session.view([0], FULL_VIEW))[0]!.frames);
  }
});

describe("a masked set's moves", () => {
  it("masks a part of the latest set again, and guesses at the end from its start", async () => {
    const generator = await open("mar");
    const session = await generator.start({ prompt: prompts[0], seed: 1 }, ["c0"]);
    await session.step();
    await session.step();
    const before = (await session.tokens([0], 1))[0]!;
    const [guess] = await session.view([0], { size: 1, look: "ahead" });
    const [now] = await session.view([0], FULL_VIEW);
    expect([guess!.coverage, now!.coverage < 0.5]).toEqual([1, true]);
    expect(framesHash(guess!.frames)).not.toBe(framesHash(now!.frames));
    await session.refine!(0.5, ["c0.1"]);
    const after = (await session.tokens([0], 1))[0]!;
    const width = 5;
    const changed = Array.from({ length: before.count }, (_, token) => token).filter((token) =>
      after.data
        .slice(token * width, (token + 1) * width)
        .some((value, at) => value !== before.data[token * width + at]),
    );
    expect(changed).toHaveLength(Math.ceil(before.count / 2));
    await generator[Symbol.asyncDispose]();
  });
});

it("refuses a clip in rows", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tts-var-rows-"));
  await cp(folder("raster"), dir, { recursive: true });
  const path = join(dir, "manifest.json");
  await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), frames: 3 }));
  await expect((await generatorOfFolder(dir)).open({}, here)).rejects.toMatchObject({
    code: "MODEL_INVALID",
    message: expect.stringContaining("clips are drawn in diagonals"),
  });
  await rm(dir, { recursive: true });
});
