import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator, type Session, type View } from "../../src/core/generator.ts";
import { framesHash } from "../../src/core/image.ts";
import type { Task } from "../../src/core/task.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { loadInfinity } from "../../src/generators/next-scale/infinity/open.ts";
import { embeddedModelPath } from "../../src/inference/folder/model-folder.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";

const directory = embeddedModelPath("generator");
const prompt = "a photo of two dogs and a red car";

// Through the worker thread, as the command line uses it.
describeSampler("embedded generator", async () => infinityDefinition(await directory).open(), {
  otherSettings: { guidance: 1 },
});

describe("embedded generator", () => {
  let generator: Generator;
  beforeAll(async () => {
    generator = await loadInfinity(await directory, {}, { threads: 1 });
  }, 120_000);
  afterAll(async () => generator?.[Symbol.asyncDispose]());

  const begin = (
    ids: readonly string[],
    change: Partial<Task> = {},
    from: Generator = generator,
  ): Promise<Session> => from.start({ prompt, seed: 3, ...change }, ids);
  const under = (settings: object): Promise<Generator> => generator.withSettings!(settings);
  const finish = async (session: Session): Promise<Session> => {
    while (session.stage < generator.traits.stages.length) await session.step();
    return session;
  };
  const all = (session: Session) => session.ids.map((_, row) => row);
  /** Bits of a row by stage, as text. */
  const bitsOf = (session: Session, row: number): Promise<string[]> =>
    Promise.all(
      generator.traits.stages.map(async ({ index }) => {
        const [tokens] = await session.tokens([row], index);
        return Buffer.from(tokens!.data as Uint8Array).toString("hex");
      }),
    );
  const bits = async (session: Session, row: number) => (await bitsOf(session, row)).join("");
  const hashesOf = async (session: Session, view: View) =>
    (await session.view(all(session), view)).map(({ frames }) => framesHash(frames));

  it("looks ahead at the likeliest end of what was drawn, in any batch, and draws on as if it had not", async () => {
    const curious = await begin(["c0", "c1", "c2"], {}, await under({ lookAhead: 9 }));
    while (curious.stage < 3) await curious.step();
    const ahead: View = { size: 1, look: "ahead", quality: "draft" };
    const seen = await hashesOf(curious, ahead);
    const keep = (await Promise.all([0, 1, 2].map((stage) => curious.tokens([1], stage)))).flat();
    const cold = await finish(await begin(["any"], { keep }, await under({ topK: 1 })));
    expect(await hashesOf(cold, { ...FULL_VIEW, quality: "draft" })).toEqual([seen[1]]);
    expect((await curious.view([2, 1], ahead)).map(({ frames }) => framesHash(frames))).toEqual([
      seen[2],
      seen[1],
    ]);
    expect(await bits(await finish(curious), 2)).toBe(await bits(await finish(await begin(["c2"])), 0));
  });

  it("gives the same bits and pixels with one and two threads, in every batch from 1 to 8", async () => {
    const ids = Array.from({ length: 8 }, (_, index) => `c${index}`);
    const whole = await finish(await begin(ids));
    const tokens = await Promise.all(all(whole).map((row) => bits(whole, row)));
    const views: View[] = [FULL_VIEW, { size: 1 / 4, look: "now" }, { size: 3 / 16, look: "now" }];
    const hashes = await Promise.all(views.map((view) => hashesOf(whole, view)));
    const other = await loadInfinity(await directory, {}, { threads: 2 });
    for (const order of [[7, 6, 5, 4, 3, 2, 1, 0], [5], [2, 6], [4, 1, 3, 0, 7]]) {
      const picked = order.map((row) => ids[row]!);
      const session = await finish(await begin(picked, {}, other));
      for (const [at, row] of order.entries()) expect(await bits(session, at)).toBe(tokens[row]);
      for (const [index, view] of views.entries()) {
        expect(await hashesOf(session, view)).toEqual(order.map((row) => hashes[index]![row]));
      }
    }
    await other[Symbol.asyncDispose]();
  });

  it("drops guidance for a suffix of scales without changing the scales before", async () => {
    const guided = await finish(await begin(["c0", "c1"]));
    const stages = generator.traits.stages.length;
    const half = stages - 2;
    const session = await begin(["c0", "c1"], {}, await under({ guidanceUntil: half }));
    const gaps: number[] = [];
    while (session.stage < stages) gaps.push((await session.step()).values["guidanceGap"]![0]!);
    expect(gaps.slice(0, half).every((gap) => gap > 0)).toBe(true);
    expect(gaps.slice(half)).toEqual([0, 0]);
    const [early, late] = [await bitsOf(session, 0), await bitsOf(guided, 0)];
    expect(early.slice(0, half)).toEqual(late.slice(0, half));
    expect(early.slice(half)).not.toEqual(late.slice(half));
  });

  it("equals guidance 1 where it runs without the unconditional branch from the start", async () => {
    const both = await finish(await begin(["c0"], {}, await under({ guidance: 1 })));
    const alone = await finish(await begin(["c0"], {}, await under({ guidance: 1, guidanceUntil: 0 })));
    expect(await bits(alone, 0)).toBe(await bits(both, 0));
  });

  it("takes negative prompts, shorter and longer than the prompt", async () => {
    const plain = await finish(await begin(["c0"]));
    const seen = new Set([await bits(plain, 0)]);
    for (const negativePrompt of ["a cat", "a photo of three blue cats above a green bench and a clock"]) {
      const session = await finish(await begin(["c0"], { negativePrompt }));
      seen.add(await bits(session, 0));
    }
    expect(seen.size).toBe(3);
  });

  it("takes another text from a stage on, and leaves the stages before it alone", async () => {
    const plain = await bitsOf(await finish(await begin(["c0"])), 0);
    const other = "a photo of three blue cats";
    const change = async (promptAt: Task["promptAt"]) =>
      bitsOf(await finish(await begin(["c0"], { promptAt: promptAt! })), 0);
    expect(await change([{ stage: 2, prompt }])).toEqual(plain);
    const late = await change([{ stage: 3, prompt: other }]);
    expect(late.slice(0, 3)).toEqual(plain.slice(0, 3));
    expect(late.slice(3)).not.toEqual(plain.slice(3));
    expect(
      await change([
        { stage: 3, prompt: other },
        { stage: 4, prompt },
      ]),
    ).not.toEqual(late);
  });

  it("forgets nothing between prompts and remembers the last ones", async () => {
    const first = await finish(await begin(["c0"]));
    for (let index = 0; index < 9; index++) await begin(["c0"], { prompt: `${index} cats` });
    const again = await finish(await begin(["c0"]));
    expect(await bits(again, 0)).toBe(await bits(first, 0));
  });

  it("keeps the caller's thread free and dies with a clear error, not silently", async () => {
    const remote = await infinityDefinition(await directory).open();
    const session = await begin(["c0", "c1", "c2", "c3"], {}, remote);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    await finish(session);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(1);
    await remote[Symbol.asyncDispose]();
    await expect(session.view([0], FULL_VIEW)).rejects.toMatchObject({ code: "MODEL_RUNTIME" });
  });
});
