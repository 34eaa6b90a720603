import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  draftsOf,
  FULL_VIEW,
  type Generator,
  type Pick,
  type Session,
  SPECIFICATION_VERSION,
  shareOf,
  sidesOf,
  type View,
} from "../core/generator.ts";
import { childIds, derivedIds } from "../core/ids.ts";
import { framesHash } from "../core/image.ts";
import type { Task } from "../core/task.ts";
import { bytesOfTokens, type Tokens, tokensProblem } from "../core/tokens.ts";

/** Loading weights on a busy machine takes longer than the runner allows hooks by default. */
const OPENING_MS = 120_000;

/** Names of the contract's tests, by which they can be left out. */
export const GENERATOR_TESTS = [
  "has traits that agree with each other",
  "gives signals by candidate, finite, and tokens of its kind",
  "gives the same candidate alone, in any batch and in any order",
  "makes different candidates, seeds and prompts differ",
  "leaves the others' tokens alone when candidates are dropped",
  "lets the first child go on as its parent would, and further children go their own way",
  "branches without touching the session it came from",
  "shows views of the asked size, without side effects",
  "never advances randomness by looking ahead",
  "takes kept tokens",
  "draws a picture again from the tokens that it is encoded to",
  "refines under new ids, and leaves the others alone",
  "goes back, and draws anew under new ids",
  "draws otherwise under other settings, with the same weights",
  "refuses what it cannot do, steps past the end, and released sessions",
] as const;
export type GeneratorTest = (typeof GENERATOR_TESTS)[number];

export interface GeneratorContractOptions {
  /** Two prompts that the model can draw. */
  readonly prompts?: readonly [string, string];
  /** Tests that do not apply, each with the reason why. What a model does not say that it can do need not stand here. */
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly GeneratorTest[] }[];
  /** Settings under which a model draws otherwise; none: it has no settings. */
  readonly otherSettings?: Readonly<Record<string, unknown>>;
}

/**
 * What every generator must keep, as a vitest suite: traits are plain and agree, draws are keyed by candidate and never by
 * batch, selecting and branching are lazy copies, looking has no side effect. Tests of capabilities run where the traits
 * declare them.
 *
 * @param name name of the generator in the report
 * @param open opens it; called once, disposed of at the end
 */
export function describeSampler(
  name: string,
  open: () => Promise<Generator>,
  {
    prompts = ["a photo of a dog", "a photo of two red cars"],
    skip = [],
    otherSettings,
  }: GeneratorContractOptions = {},
): void {
  const left = new Map(skip.flatMap(({ reason, tests }) => tests.map((test) => [test, reason] as const)));
  describe(`generator contract: ${name}`, () => {
    let generator: Generator;
    beforeAll(async () => {
      generator = await open();
    }, OPENING_MS);
    afterAll(async () => generator?.[Symbol.asyncDispose](), OPENING_MS);

    /** A test of the contract. One that does not apply passes and says why: it never counts as skipped. */
    const keeps = (test: GeneratorTest, body: () => Promise<void> | void): void => {
      const reason = left.get(test);
      if (reason === undefined) it(test, body);
      else it(`${test} (does not apply: ${reason})`, () => expect(reason).not.toBe(""));
    };
    const can = (capability: Generator["traits"]["can"][number]): boolean =>
      generator.traits.can.includes(capability);

    const task: Task = { prompt: prompts[0], seed: 7 };
    const begin = (ids: readonly string[], change: Partial<Task> = {}): Promise<Session> =>
      generator.start({ ...task, ...change }, ids);
    const stages = (): number => generator.traits.stages.length;
    const finish = async (session: Session, until = stages()): Promise<Session> => {
      while (session.stage < until) await session.step();
      return session;
    };
    const picks = (session: Session, parents: readonly number[], copies = new Map()): Pick[] =>
      childIds(session.ids, parents, copies).map((id, index) => ({ parent: parents[index]!, id }));
    const tokensOf = async (session: Session, row: number): Promise<Tokens[]> => {
      const all: Tokens[] = [];
      for (let stage = 0; stage < session.stage; stage++) all.push((await session.tokens([row], stage))[0]!);
      return all;
    };
    const text = (stagesOf: readonly Tokens[]): string =>
      stagesOf
        .map((each) => Buffer.from(bytesOfTokens(generator.traits.tokens, each)).toString("hex"))
        .join("/");
    const tokens = async (session: Session, row: number): Promise<string> =>
      text(await tokensOf(session, row));
    const hashes = async (
      session: Session,
      rows: readonly number[],
      view: View = FULL_VIEW,
    ): Promise<string[]> => (await session.view(rows, view)).map(({ frames }) => framesHash(frames));
    const picture = async (session: Session, row: number): Promise<string> =>
      (await hashes(session, [row]))[0]!;

    keeps("has traits that agree with each other", () => {
      const { traits } = generator;
      expect(traits.specificationVersion).toBe(SPECIFICATION_VERSION);
      expect(JSON.parse(JSON.stringify(traits))).toEqual(traits);
      const { cost, memory, shape } = traits;
      expect(traits.stages.map(({ index }) => index)).toEqual([...traits.stages.keys()]);
      expect(traits.stages.at(-1)!.final).toBe(1);
      for (const { final, tokens: count } of traits.stages) {
        expect(final).toBeGreaterThan(0);
        expect(Number.isInteger(count)).toBe(true);
      }
      expect(cost.stages).toHaveLength(traits.stages.length);
      expect(Math.min(cost.prompt, ...cost.stages)).toBeGreaterThanOrEqual(0);
      expect(cost.shared).toBeLessThanOrEqual(traits.stages.length);
      expect(traits.looks).toContain("now");
      expect(Object.keys(cost.views).sort()).toEqual([...traits.looks].sort());
      expect([shape.width % shape.grain, shape.height % shape.grain]).toEqual([0, 0]);
      for (const look of draftsOf(cost)) expect(cost.drafts![look]).toBeLessThan(cost.views[look]!);
      expect(traits.can.includes("refine")).toBe(cost.refine !== undefined);
      expect(traits.can.includes("encode")).toBe(generator.encode !== undefined);
      if (!memory) return;
      for (const list of [memory.kept, memory.working]) expect(list).toHaveLength(traits.stages.length);
      expect(Math.min(memory.weights, ...memory.kept, ...memory.working)).toBeGreaterThanOrEqual(0);
    });

    keeps("gives signals by candidate, finite, and tokens of its kind", async () => {
      const session = await begin(["c0", "c1", "c2"]);
      for (const stage of generator.traits.stages) {
        const { tokenHash, values } = await session.step();
        expect(session.stage).toBe(stage.index + 1);
        expect(tokenHash).toHaveLength(3);
        for (const list of Object.values(values)) {
          expect(list).toHaveLength(3);
          expect([...list].every(Number.isFinite)).toBe(true);
        }
        if (can("log-prob")) expect(values["logProb"]).toBeDefined();
        for (const drawn of await session.tokens([0, 1, 2], stage.index)) {
          expect(tokensProblem(generator.traits.tokens, drawn, stage.tokens)).toBeNull();
        }
      }
      session.release();
    });

    keeps("gives the same candidate alone, in any batch and in any order", async () => {
      const together = await finish(await begin(["c0", "c1", "c2", "c3", "c4"]));
      const permuted = await finish(await begin(["c3", "c0", "c4"]));
      const alone = await finish(await begin(["c3"]));
      const expected = await tokens(together, 3);
      expect(await tokens(permuted, 0)).toBe(expected);
      expect(await tokens(alone, 0)).toBe(expected);
      expect(await tokens(permuted, 1)).toBe(await tokens(together, 0));
      const first = await picture(together, 3);
      const inBatch = await hashes(together, [4, 3, 3, 0]);
      expect([inBatch[1], inBatch[2]]).toEqual([first, first]);
      expect(await picture(alone, 0)).toBe(first);
    });

    keeps("makes different candidates, seeds and prompts differ", async () => {
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

    keeps("leaves the others' tokens alone when candidates are dropped", async () => {
      const whole = await finish(await begin(["c0", "c1", "c2"]));
      const pruned = await begin(["c0", "c1", "c2"]);
      await finish(pruned, 2);
      await pruned.select(picks(pruned, [2]));
      expect(pruned.ids).toEqual(["c2"]);
      await finish(pruned);
      expect(await tokens(pruned, 0)).toBe(await tokens(whole, 2));
      expect(await picture(pruned, 0)).toBe(await picture(whole, 2));
    });

    keeps(
      "lets the first child go on as its parent would, and further children go their own way",
      async () => {
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
      },
    );

    keeps("branches without touching the session it came from", async () => {
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
      expect(await picture(branch, 0)).toBe(await picture(plain, 1));
    });

    keeps("shows views of the asked size, without side effects", async () => {
      const { shape, looks, cost } = generator.traits;
      const session = await begin(["c0", "c1"]);
      await finish(session, stages() - 1);
      const views = looks.flatMap((look) => [1, 0.5].map((size): View => ({ size, look })));
      const drafts = draftsOf(cost).map((look): View => ({ size: 1, look, quality: "draft" }));
      for (const view of [...views, ...drafts]) {
        const [seen] = await session.view([1], view);
        const { width, height } = sidesOf(shape, view.size);
        for (const { width: w, height: h, data } of seen!.frames) {
          expect([w, h, data.length]).toEqual([width, height, width * height * 3]);
        }
        expect(seen!.coverage).toBeGreaterThan(0);
        expect(seen!.coverage).toBeLessThanOrEqual(1);
      }
      expect(shareOf(shape, { size: 0.5, look: "now" })).toBeLessThanOrEqual(1);
      await session.step();
      const [last] = await session.view([1], FULL_VIEW);
      expect([last!.coverage, last!.frames.length]).toEqual([1, shape.frames]);
      const undisturbed = await finish(await begin(["c1"]));
      expect(await tokens(session, 1)).toBe(await tokens(undisturbed, 0));
      await expect(session.view([0], { size: 1.5, look: "now" })).rejects.toThrow();
      await expect(session.view([2], FULL_VIEW)).rejects.toThrow();
      if (drafts.length > 0) return;
      await expect(session.view([0], { ...FULL_VIEW, quality: "draft" })).rejects.toThrow();
    });

    keeps("never advances randomness by looking ahead", async () => {
      const { looks } = generator.traits;
      const look = looks.includes("ahead") ? "ahead" : "now";
      const watched = await begin(["c0", "c1"]);
      for (let stage = 0; stage < stages(); stage++) {
        await watched.step();
        const once = await hashes(watched, [0, 1], { size: 1, look });
        expect(await hashes(watched, [0, 1], { size: 1, look })).toEqual(once);
      }
      const blind = await finish(await begin(["c0", "c1"]));
      expect(await tokens(watched, 0)).toBe(await tokens(blind, 0));
      expect(await tokens(watched, 1)).toBe(await tokens(blind, 1));
    });

    keeps("takes kept tokens", async () => {
      if (!can("keep")) return;
      const donor = await finish(await begin(["c0"]));
      const keep = await tokensOf(donor, 0);
      const kept = await finish(await begin(["c5"], { keep }));
      expect(await tokens(kept, 0)).toBe(await tokens(donor, 0));
      expect(await picture(kept, 0)).toBe(await picture(donor, 0));
      const some = await finish(await begin(["c5", "c6"], { keep: keep.slice(0, 1) }));
      expect(text((await tokensOf(some, 0)).slice(0, 1))).toBe(text(keep.slice(0, 1)));
      expect(await tokens(some, 0)).not.toBe(await tokens(some, 1));
      const [first, ...others] = keep;
      const short = { count: first!.count, data: first!.data.slice(0, -1) };
      await expect(begin(["c0"], { keep: [short, ...others] })).rejects.toThrow(/kept tokens/);
    });

    keeps("draws a picture again from the tokens that it is encoded to", async () => {
      if (!generator.encode) return;
      const donor = await finish(await begin(["c0"]));
      const [seen] = await donor.view([0], FULL_VIEW);
      const encoded = await generator.encode(seen!.frames[0]);
      expect(encoded.map(({ count }) => count)).toEqual(generator.traits.stages.map((stage) => stage.tokens));
      if (can("keep")) await finish(await begin(["c1"], { keep: encoded }));
    });

    keeps("refines under new ids, and leaves the others alone", async () => {
      if (!can("refine")) return;
      const plain = await finish(await begin(["c0", "c1"]), 2);
      const session = await begin(["c0", "c1"]);
      await finish(session, 2);
      const branch = await session.branch(picks(session, [0, 1]));
      const ids = derivedIds(session.ids, new Map());
      const { tokenHash } = await session.refine!(1, ids);
      expect([[...session.ids], session.stage, tokenHash.length]).toEqual([ids, 2, 2]);
      expect(await tokens(session, 0)).not.toBe(await tokens(plain, 0));
      expect(text((await tokensOf(session, 0)).slice(0, 1))).toBe(
        text((await tokensOf(plain, 0)).slice(0, 1)),
      );
      expect(await tokens(branch, 0)).toBe(await tokens(plain, 0));
      await finish(session);
    });

    keeps("goes back, and draws anew under new ids", async () => {
      if (!can("rewind")) return;
      const plain = await finish(await begin(["c0", "c1"]));
      const session = await finish(await begin(["c0", "c1"]));
      const ids = derivedIds(session.ids, new Map());
      await session.rewind!(1, ids);
      expect([[...session.ids], session.stage]).toEqual([ids, 1]);
      await finish(session);
      expect(text((await tokensOf(session, 0)).slice(0, 1))).toBe(
        text((await tokensOf(plain, 0)).slice(0, 1)),
      );
      expect(await tokens(session, 0)).not.toBe(await tokens(plain, 0));
    });

    keeps("draws otherwise under other settings, with the same weights", async () => {
      if (!generator.withSettings || !otherSettings) return;
      const other = await generator.withSettings(otherSettings);
      expect(other.traits.version).toBe(generator.traits.version);
      expect(other.traits.settings).not.toEqual(generator.traits.settings);
      const session = await finish(await other.start(task, ["c0", "c1"]));
      const plain = await finish(await begin(["c0", "c1"]));
      expect(await tokens(session, 0)).not.toBe(await tokens(plain, 0));
      await other[Symbol.asyncDispose]();
      await finish(await begin(["c0"]));
    });

    keeps("refuses what it cannot do, steps past the end, and released sessions", async () => {
      const unknown = generator.withSettings?.({ "no such setting": 1 });
      if (unknown) await expect(unknown).rejects.toMatchObject({ code: "CONFIG_INVALID" });
      const session = await finish(await begin(["c0"]));
      await expect(session.step()).rejects.toThrow();
      session.release();
      await expect(session.step()).rejects.toThrow(/released/);
      await expect(session.view([0], FULL_VIEW)).rejects.toThrow(/released/);
      await expect(session.select([{ parent: 0, id: "c0" }])).rejects.toThrow(/released/);
    });
  });
}
