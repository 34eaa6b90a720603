import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FULL_VIEW, type Generator, type GeneratorTraits, type Session } from "../../src/core/generator.ts";
import type { RgbImage } from "../../src/core/image.ts";
import type { Task } from "../../src/core/task.ts";
import { elementsOf, type Tokens } from "../../src/core/tokens.ts";
import { infinityDefinition } from "../../src/generators/next-scale/infinity/definition.ts";
import { remoteDefinition } from "../../src/generators/remote/definition.ts";
import { describeSampler } from "../../src/testing/generator-contract.ts";
import { describeSamplerServer } from "../../src/testing/server-contract.ts";

/** A running `training/serve_infinity.py` and the folder with the same weights as ONNX graphs. */
interface Served {
  readonly name: string;
  readonly url: string;
  readonly token: string | null;
  readonly folder: string;
  /** Shape that is compared; each server has others as well. */
  readonly shape: string;
}

const servers = JSON.parse(process.env["TTSVAR_TEST_SERVERS"]!) as Served[];
const task: Task = { prompt: "a photo of two red cars left of a cat", seed: 6 };

function definitionOf({ url, token }: Served) {
  return remoteDefinition(url, token === null ? {} : { TTSVAR_SAMPLER_TOKEN: token });
}

function remoteOf(served: Served): Promise<Generator> {
  return definitionOf(served).open({ shape: { id: served.shape } });
}

for (const served of servers) {
  if (served.name !== "embedded") {
    describeSampler(`${served.name} in PyTorch`, () => remoteOf(served), {
      // The tiny models' draws are all but certain under their own settings.
      otherSettings: { guidance: [1, 1, 2, 2, 3, 3, 4], temperature: 20, topP: 1, guidanceUntil: 3 },
    });
    describeSamplerServer(served.name, async () => ({
      url: served.url,
      token: served.token ?? undefined,
      close: async () => undefined,
    }));
  }

  describe(`${served.name}: PyTorch and ONNX Runtime`, () => {
    const shape = { id: served.shape };
    const local = infinityDefinition(served.folder);
    let onnx: Generator;
    let torch: Generator;
    beforeAll(async () => {
      onnx = await local.open({ shape }, { inProcess: true });
      torch = await remoteOf(served);
    });
    afterAll(async () => {
      await onnx?.[Symbol.asyncDispose]();
      await torch?.[Symbol.asyncDispose]();
    });

    const stages = (): number => onnx.traits.stages.length;
    const finish = async (session: Session): Promise<Session> => {
      while (session.stage < stages()) await session.step();
      return session;
    };
    const tokensOf = async (session: Session, row: number): Promise<Tokens[]> => {
      const all: Tokens[] = [];
      for (let stage = 0; stage < session.stage; stage++) all.push((await session.tokens([row], stage))[0]!);
      return all;
    };
    const imagesOf = async (session: Session, rows: readonly number[], size = 1): Promise<RgbImage[]> =>
      (await session.view(rows, { ...FULL_VIEW, size })).map(({ frames }) => frames[0]);
    const expectEqualPixels = (found: readonly RgbImage[], wanted: readonly RgbImage[]): void => {
      expect(found.map(({ width, height }) => [width, height])).toEqual(
        wanted.map(({ width, height }) => [width, height]),
      );
      for (const [index, { data }] of found.entries())
        expect(furthest(data, wanted[index]!.data)).toBeLessThanOrEqual(1);
    };

    it("have the same traits, under the model's settings and others, for shapes by wish", async () => {
      // A folder has a name of its own, and this package's own loop may be able to do more.
      // Drafts are the folder's own; the loop in PyTorch has none.
      const plain = ({ name: _, version: __, memory: ___, can: ____, cost, ...rest }: GeneratorTraits) => ({
        ...rest,
        cost: { ...cost, drafts: undefined },
      });
      for (const request of [
        { shape },
        { shape, settings: { guidance: 2.5, guidanceUntil: 2, topK: 1 } },
        { shape: { ratio: "1:1" } },
      ]) {
        const there = await definitionOf(served).describe(request);
        const here = await local.describe(request);
        expect(plain(there)).toEqual(plain(here));
        expect(here.can).toEqual(expect.arrayContaining([...there.can]));
        expect([there.memory, there.version]).toEqual([null, torch.traits.version]);
      }
    });

    it("refuse the same settings in the same words", async () => {
      for (const settings of [
        { guidanse: 2 },
        { guidance: [1] },
        { guidance: "much" },
        { temperature: 0 },
        { topP: 0 },
        { topK: 0.5 },
        { guidanceUntil: 99 },
      ]) {
        const refusal = async (definition: ReturnType<typeof definitionOf>): Promise<string> => {
          const error = await definition.describe({ shape, settings }).catch((thrown: Error) => thrown);
          expect(error).toMatchObject({ code: "CONFIG_INVALID" });
          return (error as Error).message;
        };
        expect(await refusal(definitionOf(served))).toContain(await refusal(local));
      }
    });

    it("draw the same bits from the same keys, through pruning and copying", async () => {
      const ids = ["c0", "c1", "c2", "c3"];
      const [here, there] = [await onnx.start(task, ids), await torch.start(task, ids)];
      while (here.stage < stages()) {
        await here.step();
        await there.step();
        if (here.stage !== 3) continue;
        const picks = [
          { parent: 3, id: "c3" },
          { parent: 1, id: "c1" },
          { parent: 1, id: "c1.1" },
          { parent: 0, id: "c0" },
        ];
        await here.select(picks);
        await there.select(picks);
      }
      expect(there.ids).toEqual(here.ids);
      const equal: number[] = [];
      for (const row of ids.keys()) {
        const [wanted, found] = [await tokensOf(here, row), await tokensOf(there, row)];
        if (wanted.every((tokens, stage) => differing(tokens, found[stage]!) === 0)) equal.push(row);
      }
      // One draw in ten thousand is as close as float32's rounding, and then both are right: one row may differ.
      expect(equal.length).toBeGreaterThanOrEqual(ids.length - 1);
      expectEqualPixels(await imagesOf(there, equal), await imagesOf(here, equal));
    });

    it("agree on signals and images for the same bits, under every setting", async () => {
      const half = stages() - 2;
      const keep = await tokensOf(await finish(await onnx.start(task, ["c5"])), 0);
      const settings = { topP: 0.8, guidanceUntil: half };
      const cases: readonly [Record<string, unknown>, Task][] = [
        [{}, { ...task, keep }],
        [settings, { ...task, keep, negativePrompt: "a photo of three blue cats above a chair and a cup" }],
        [
          { ...settings, topK: 1, guidance: 2 },
          { ...task, keep: keep.slice(0, half), negativePrompt: "a" },
        ],
      ];
      for (const [configured, asked] of cases) {
        const under = async (generator: Generator) =>
          (await generator.withSettings!(configured)).start(asked, ["c0", "c1"]);
        const [here, there] = [await under(onnx), await under(torch)];
        while (here.stage < stages()) {
          const [wanted, found] = [await here.step(), await there.step()];
          const { tokens } = onnx.traits.stages[here.stage - 1]!;
          const bits = tokens * elementsOf(onnx.traits.tokens);
          for (const [name, values] of Object.entries(wanted.values)) {
            const share = name === "logProb" ? bits : 1;
            expect(furthest(found.values[name]!, values) / share).toBeLessThan(1e-4);
          }
        }
        if (asked.keep!.length < stages()) continue;
        expect(await tokensOf(there, 0)).toEqual(keep);
        for (const size of [1, 0.3]) {
          expectEqualPixels(await imagesOf(there, [0, 1], size), await imagesOf(here, [0, 1], size));
        }
      }
    });

    it("encode an image into the same bits", async () => {
      const [image] = await imagesOf(await finish(await onnx.start(task, ["c0"])), [0]);
      const [wanted, found] = [await onnx.encode!(image!), await torch.encode!(image!)];
      expect(found.map(({ count }) => count)).toEqual(wanted.map(({ count }) => count));
      const count = wanted.reduce((sum, { data }) => sum + data.length, 0);
      const different = wanted.reduce((sum, tokens, stage) => sum + differing(tokens, found[stage]!), 0);
      // A residual at zero may get either sign.
      expect(different / count).toBeLessThan(0.002);
    });
  });
}

function furthest(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found.length).toBe(wanted.length);
  let most = 0;
  for (let at = 0; at < found.length; at++) most = Math.max(most, Math.abs(found[at]! - wanted[at]!));
  return most;
}

function differing(a: Tokens, b: Tokens): number {
  return [...a.data].filter((bit, at) => bit !== b.data[at]).length;
}
