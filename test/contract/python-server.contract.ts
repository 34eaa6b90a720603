import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Generator, SampleRequest, Session } from "../../src/core/generator.ts";
import type { RgbImage } from "../../src/core/image.ts";
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
  /** Schedule that is compared; each server has others as well. */
  readonly schedule: string;
}

const servers = JSON.parse(process.env["TTSVAR_TEST_SERVERS"]!) as Served[];
const prompt = "a photo of two red cars left of a cat";

function remoteOf({ url, token, schedule }: Served): Promise<Generator> {
  const environment = token === null ? {} : { TTSVAR_SAMPLER_TOKEN: token };
  return remoteDefinition(url, environment).open({ shape: { schedule } });
}

for (const served of servers) {
  if (served.name !== "embedded") {
    describeSampler(`${served.name} in PyTorch`, () => remoteOf(served));
    describeSamplerServer(served.name, async () => ({
      url: served.url,
      token: served.token ?? undefined,
      close: async () => undefined,
    }));
  }

  describe(`${served.name}: PyTorch and ONNX Runtime`, () => {
    let onnx: Generator;
    let torch: Generator;
    beforeAll(async () => {
      const { schedule } = served;
      onnx = await infinityDefinition(served.folder).open({ inProcess: true, shape: { schedule } });
      torch = await remoteOf(served);
    });
    afterAll(async () => {
      await onnx?.[Symbol.asyncDispose]();
      await torch?.[Symbol.asyncDispose]();
    });

    const request = (change: Partial<SampleRequest> = {}): SampleRequest => ({
      prompt,
      seed: 6,
      ids: ["c0", "c1"],
      settings: onnx.defaults,
      ...change,
    });
    const expectEqualPixels = (found: readonly RgbImage[], wanted: readonly RgbImage[]): void => {
      expect(found.map(({ width, height }) => [width, height])).toEqual(
        wanted.map(({ width, height }) => [width, height]),
      );
      for (const [index, { data }] of found.entries())
        expect(furthest(data, wanted[index]!.data)).toBeLessThanOrEqual(1);
    };

    it("describe the same scales, sizes, settings and costs", () => {
      for (const key of [
        "scales",
        "latent",
        "pixelsPerLatent",
        "bitsPerToken",
        "schedule",
        "defaults",
      ] as const) {
        expect(torch[key]).toEqual(onnx[key]);
      }
      for (const { index } of onnx.scales) {
        for (const guided of [true, false]) {
          expect(torch.cost.stage(index, guided)).toBe(onnx.cost.stage(index, guided));
        }
      }
      expect(torch.cost.text).toBe(onnx.cost.text);
      expect(torch.cost.decode({ h: 2, w: 3 })).toBe(onnx.cost.decode({ h: 2, w: 3 }));
      expect(torch.cost.sharedStages).toBe(onnx.cost.sharedStages);
    });

    it("draw the same bits from the same keys, through pruning and copying", async () => {
      const ids = ["c0", "c1", "c2", "c3"];
      const [here, there] = [await onnx.start(request({ ids })), await torch.start(request({ ids }))];
      while (here.stage < onnx.scales.length) {
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
        const [wanted, found] = [await here.bits(row), await there.bits(row)];
        if (wanted.every((bits, scale) => differing(bits, found[scale]!) === 0)) equal.push(row);
      }
      // One draw in ten thousand is as close as float32's rounding, and then both are right: one row may differ.
      expect(equal.length).toBeGreaterThanOrEqual(ids.length - 1);
      expectEqualPixels(await there.decode(equal), await here.decode(equal));
    });

    it("agree on signals and images for the same bits, under every setting", async () => {
      const half = onnx.scales.length - 2;
      const settings = { ...onnx.defaults, topP: 0.8, guidanceUntil: half };
      const forcedBits = await bitsOf(onnx, request({ ids: ["c5"] }));
      const requests = [
        request({ forcedBits }),
        request({
          forcedBits,
          settings,
          negativePrompt: "a photo of three blue cats above a chair and a cup",
        }),
        request({
          forcedBits: forcedBits.slice(0, half),
          settings: { ...settings, topK: 1 },
          negativePrompt: "a",
        }),
      ];
      for (const each of requests) {
        const [here, there] = [await onnx.start(each), await torch.start(each)];
        while (here.stage < onnx.scales.length) {
          const [wanted, found] = [await here.step(), await there.step()];
          const bits = onnx.scales[here.stage - 1]!.h * onnx.scales[here.stage - 1]!.w * onnx.bitsPerToken!;
          expect(furthest(found.logProb, wanted.logProb) / bits).toBeLessThan(1e-4);
          expect(furthest(found.entropy, wanted.entropy)).toBeLessThan(1e-4);
          expect(furthest(found.guidanceGap, wanted.guidanceGap)).toBeLessThan(1e-4);
        }
        if (each.forcedBits!.length < onnx.scales.length) continue;
        expect(await there.bits(0)).toEqual(forcedBits);
        for (const size of [undefined, { h: 3, w: 2 }]) {
          expectEqualPixels(await there.decode([0, 1], size), await here.decode([0, 1], size));
        }
      }
    });

    it("encode an image into the same bits", async () => {
      const [image] = await (await finish(await onnx.start(request({ ids: ["c0"] })), onnx)).decode([0]);
      const [wanted, found] = [await onnx.encode!(image!), await torch.encode!(image!)];
      expect(found.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length));
      const count = wanted.reduce((sum, { length }) => sum + length, 0);
      const different = wanted.reduce((sum, bits, scale) => sum + differing(bits, found[scale]!), 0);
      // A residual at zero may get either sign.
      expect(different / count).toBeLessThan(0.002);
    });
  });
}

async function finish(session: Session, generator: Generator): Promise<Session> {
  while (session.stage < generator.scales.length) await session.step();
  return session;
}

async function bitsOf(generator: Generator, request: SampleRequest): Promise<Uint8Array[]> {
  return (await finish(await generator.start(request), generator)).bits(0);
}

function furthest(found: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(found.length).toBe(wanted.length);
  let most = 0;
  for (let at = 0; at < found.length; at++) most = Math.max(most, Math.abs(found[at]! - wanted[at]!));
  return most;
}

function differing(a: Uint8Array, b: Uint8Array): number {
  return a.filter((bit, at) => bit !== b[at]).length;
}
