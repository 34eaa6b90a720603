import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Generator, SampleRequest, Session } from "../../src/core/generator.ts";
import { pixelHash } from "../../src/core/image.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { loadInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

const directory = embeddedModelPath("generator");
const prompt = "a photo of two dogs and a red car";

// Through the worker thread, as the command line uses it.
describeSampler("embedded generator", async () => infinityDefinition(await directory).open());

describe("embedded generator", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await loadInfinity(await directory, { threads: 1 });
  }, 120_000);
  afterAll(async () => generator?.[Symbol.asyncDispose]());

  const request = (ids: readonly string[], change: Partial<SampleRequest> = {}): SampleRequest => ({
    prompt,
    seed: 3,
    ids,
    settings: generator.defaults,
    ...change,
  });
  const finish = async (session: Session): Promise<Session> => {
    while (session.stage < generator.scales.length) await session.step();
    return session;
  };
  const all = (session: Session) => session.ids.map((_, row) => row);
  const bits = async (session: Session, row: number) =>
    Buffer.concat(await session.bits(row)).toString("hex");

  it("gives the same bits and pixels with one and two threads, in every batch from 1 to 8", async () => {
    const ids = Array.from({ length: 8 }, (_, index) => `c${index}`);
    const whole = await finish(await generator.start(request(ids)));
    const tokens = await Promise.all(all(whole).map((row) => bits(whole, row)));
    const sizes = [generator.latent, { h: 4, w: 4 }, { h: 3, w: 2 }];
    const hashes = await Promise.all(
      sizes.map(async (size) => (await whole.decode(all(whole), size)).map(pixelHash)),
    );
    const other = await loadInfinity(await directory, { threads: 2 });
    for (const order of [[7, 6, 5, 4, 3, 2, 1, 0], [5], [2, 6], [4, 1, 3, 0, 7]]) {
      const session = await finish(await other.start(request(order.map((row) => ids[row]!))));
      for (const [at, row] of order.entries()) expect(await bits(session, at)).toBe(tokens[row]);
      for (const [index, size] of sizes.entries()) {
        const images = await session.decode(all(session), size);
        expect(images.map(pixelHash)).toEqual(order.map((row) => hashes[index]![row]));
      }
    }
    await other[Symbol.asyncDispose]();
  });

  it("drops guidance for a suffix of scales without changing the scales before", async () => {
    const guided = await finish(await generator.start(request(["c0", "c1"])));
    const half = generator.scales.length - 2;
    const settings = { ...generator.defaults, guidanceUntil: half };
    const session = await generator.start(request(["c0", "c1"], { settings }));
    const gaps: number[] = [];
    while (session.stage < generator.scales.length) gaps.push((await session.step()).guidanceGap[0]!);
    expect(gaps.slice(0, half).every((gap) => gap > 0)).toBe(true);
    expect(gaps.slice(half)).toEqual([0, 0]);
    const [early, late] = [await session.bits(0), await guided.bits(0)];
    expect(early.slice(0, half)).toEqual(late.slice(0, half));
    expect(early.slice(half)).not.toEqual(late.slice(half));
  });

  it("equals guidance 1 where it runs without the unconditional branch from the start", async () => {
    const one = { ...generator.defaults, guidance: generator.scales.map(() => 1) };
    const both = await finish(await generator.start(request(["c0"], { settings: one })));
    const alone = await finish(
      await generator.start(request(["c0"], { settings: { ...one, guidanceUntil: 0 } })),
    );
    expect(await bits(alone, 0)).toBe(await bits(both, 0));
  });

  it("takes negative prompts, shorter and longer than the prompt", async () => {
    const plain = await finish(await generator.start(request(["c0"])));
    const seen = new Set([await bits(plain, 0)]);
    for (const negativePrompt of ["a cat", "a photo of three blue cats above a green bench and a clock"]) {
      const session = await finish(await generator.start(request(["c0"], { negativePrompt })));
      seen.add(await bits(session, 0));
    }
    expect(seen.size).toBe(3);
  });

  it("forgets nothing between prompts and remembers the last ones", async () => {
    const first = await finish(await generator.start(request(["c0"])));
    for (let index = 0; index < 9; index++)
      await generator.start(request(["c0"], { prompt: `${index} cats` }));
    const again = await finish(await generator.start(request(["c0"])));
    expect(await bits(again, 0)).toBe(await bits(first, 0));
  });

  it("keeps the caller's thread free and dies with a clear error, not silently", async () => {
    const remote = await infinityDefinition(await directory).open();
    const session = await remote.start(request(["c0", "c1", "c2", "c3"]));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await finish(session);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(1);
    await remote[Symbol.asyncDispose]();
    await expect(session.decode([0])).rejects.toMatchObject({ code: "MODEL_RUNTIME" });
  });
});
