import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Generator, Pick, SampleRequest, Session } from "../core/generator.ts";
import { childIds } from "../core/ids.ts";
import { pixelHash, type RgbImage } from "../core/image.ts";

/** Loading weights on a busy machine takes longer than the runner allows hooks by default. */
const OPENING_MS = 120_000;

export interface GeneratorContractOptions {
  /** Two prompts that the model can draw. */
  readonly prompts?: readonly [string, string];
}

/**
 * What every generator must keep, as a vitest suite: draws are keyed by candidate and never by batch, selecting and
 * branching are lazy copies, decoding has no side effect.
 *
 * @param name name of the generator in the report
 * @param open opens it; called once, disposed of at the end
 */
export function describeSampler(
  name: string,
  open: () => Promise<Generator>,
  { prompts = ["a photo of a dog", "a photo of two red cars"] }: GeneratorContractOptions = {},
): void {
  describe(`generator contract: ${name}`, () => {
    let generator: Generator;
    beforeAll(async () => {
      generator = await open();
    }, OPENING_MS);
    afterAll(async () => generator?.[Symbol.asyncDispose](), OPENING_MS);

    const begin = (ids: readonly string[], change: Partial<SampleRequest> = {}): Promise<Session> =>
      generator.start({ prompt: prompts[0], seed: 7, ids, settings: generator.defaults, ...change });
    const finish = async (session: Session, until = generator.scales.length): Promise<Session> => {
      while (session.stage < until) await session.step();
      return session;
    };
    const picks = (session: Session, parents: readonly number[], copies = new Map()): Pick[] =>
      childIds(session.ids, parents, copies).map((id, index) => ({ parent: parents[index]!, id }));
    const tokens = async (session: Session, row: number): Promise<string> =>
      (await session.bits(row)).map((bits) => Buffer.from(bits).toString("hex")).join("/");
    const image = async (session: Session, row: number): Promise<string> =>
      pixelHash((await session.decode([row]))[0]!);

    it("gives one signal per candidate, finite and in bounds", async () => {
      const session = await begin(["c0", "c1", "c2"]);
      const signals = await session.step();
      expect(session.stage).toBe(1);
      for (const values of [signals.logProb, signals.entropy, signals.guidanceGap, signals.tokenHash]) {
        expect(values).toHaveLength(3);
      }
      expect([...signals.logProb].every((value) => value <= 0)).toBe(true);
      expect([...signals.entropy].every((value) => value >= 0)).toBe(true);
      expect([...signals.guidanceGap].every((value) => value >= 0)).toBe(true);
      session.release();
    });

    it("gives the same candidate alone, in any batch and in any order", async () => {
      const together = await finish(await begin(["c0", "c1", "c2", "c3", "c4"]));
      const permuted = await finish(await begin(["c3", "c0", "c4"]));
      const alone = await finish(await begin(["c3"]));
      const expected = await tokens(together, 3);
      expect(await tokens(permuted, 0)).toBe(expected);
      expect(await tokens(alone, 0)).toBe(expected);
      expect(await tokens(permuted, 1)).toBe(await tokens(together, 0));
      const [first] = await together.decode([3]);
      const inBatch = await together.decode([4, 3, 3, 0]);
      expect(pixelHash(inBatch[1]!)).toBe(pixelHash(first!));
      expect(pixelHash(inBatch[2]!)).toBe(pixelHash(first!));
      expect(await image(alone, 0)).toBe(pixelHash(first!));
    });

    it("makes different candidates, seeds and prompts differ", async () => {
      const session = await finish(await begin(["c0", "c1"]));
      const reseeded = await finish(await begin(["c0"], { seed: 8 }));
      const reworded = await finish(await begin(["c0"], { prompt: prompts[1] }));
      const seen = new Set([
        await tokens(session, 0),
        await tokens(session, 1),
        await tokens(reseeded, 0),
        await tokens(reworded, 0),
      ]);
      expect(seen.size).toBe(4);
    });

    it("leaves the others' tokens alone when candidates are dropped", async () => {
      const whole = await finish(await begin(["c0", "c1", "c2"]));
      const pruned = await begin(["c0", "c1", "c2"]);
      await finish(pruned, 2);
      await pruned.select(picks(pruned, [2]));
      expect(pruned.ids).toEqual(["c2"]);
      await finish(pruned);
      expect(await tokens(pruned, 0)).toBe(await tokens(whole, 2));
      expect(await image(pruned, 0)).toBe(await image(whole, 2));
    });

    it("lets the first child go on as its parent would, and further children go their own way", async () => {
      const plain = await finish(await begin(["c0", "c1"]));
      const session = await begin(["c0", "c1"]);
      await finish(session, 2);
      const before = await tokens(session, 1);
      await session.select(picks(session, [1, 1, 0]));
      expect(session.ids).toEqual(["c1", "c1.1", "c0"]);
      expect(await tokens(session, 0)).toBe(before);
      expect(await tokens(session, 1)).toBe(before);
      await finish(session);
      expect(await tokens(session, 0)).toBe(await tokens(plain, 1));
      expect(await tokens(session, 2)).toBe(await tokens(plain, 0));
      expect(await tokens(session, 1)).not.toBe(await tokens(session, 0));
    });

    it("branches without touching the session it came from", async () => {
      const plain = await finish(await begin(["c0", "c1"]));
      const session = await begin(["c0", "c1"]);
      await finish(session, 1);
      const branch = await session.branch(picks(session, [1]));
      await finish(branch);
      expect([session.stage, [...session.ids]]).toEqual([1, ["c0", "c1"]]);
      await finish(session);
      expect(await tokens(session, 0)).toBe(await tokens(plain, 0));
      expect(await tokens(branch, 0)).toBe(await tokens(plain, 1));
      session.release();
      expect(await image(branch, 0)).toBe(await image(plain, 1));
    });

    it("decodes previews of the asked size, without side effects", async () => {
      const session = await begin(["c0", "c1"]);
      await finish(session, generator.scales.length - 1);
      const small = { h: Math.ceil(generator.latent.h / 2), w: Math.ceil(generator.latent.w / 2) };
      const [full] = await session.decode([1]);
      const [preview] = await session.decode([1], small);
      const sizes = ({ width, height, data }: RgbImage) => [width, height, data.length];
      const expected = (h: number, w: number) => [
        w * generator.pixelsPerLatent,
        h * generator.pixelsPerLatent,
        h * w * generator.pixelsPerLatent ** 2 * 3,
      ];
      expect(sizes(full!)).toEqual(expected(generator.latent.h, generator.latent.w));
      expect(sizes(preview!)).toEqual(expected(small.h, small.w));
      await session.step();
      const undisturbed = await finish(await begin(["c1"]));
      expect(await tokens(session, 1)).toBe(await tokens(undisturbed, 0));
      await expect(session.decode([0], { h: generator.latent.h + 1, w: 1 })).rejects.toThrow();
      await expect(session.decode([2])).rejects.toThrow();
    });

    it("takes forced tokens", async () => {
      const donor = await finish(await begin(["c0"]));
      const forcedBits = await donor.bits(0);
      const forced = await finish(await begin(["c5"], { forcedBits }));
      expect(await tokens(forced, 0)).toBe(await tokens(donor, 0));
      expect(await image(forced, 0)).toBe(await image(donor, 0));
      await expect(begin(["c0"], { forcedBits: [new Uint8Array(2)] })).rejects.toThrow(/forced bits/);
    });

    it("prices every stage and decode, cheaper without guidance and at reduced size", () => {
      const { cost, scales, latent } = generator;
      for (const { index } of scales) {
        expect(cost.stage(index, true)).toBeGreaterThan(cost.stage(index, false));
        expect(cost.stage(index, false)).toBeGreaterThan(0);
      }
      expect(cost.decode({ h: 1, w: 1 })).toBeLessThan(cost.decode(latent));
      expect(cost.sharedStages).toBeLessThan(scales.length);
    });

    it("refuses settings that do not fit, steps past the end, and released sessions", async () => {
      const short = { ...generator.defaults, temperature: [1] };
      await expect(begin(["c0"], { settings: short })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
      const session = await finish(await begin(["c0"]));
      await expect(session.step()).rejects.toThrow();
      session.release();
      await expect(session.step()).rejects.toThrow(/released/);
      await expect(session.decode([0])).rejects.toThrow(/released/);
      await expect(session.select([{ parent: 0, id: "c0" }])).rejects.toThrow(/released/);
    });
  });
}
