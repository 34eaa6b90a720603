import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GeneratorTraits } from "../../src/core/generator.ts";
import { elementsOf } from "../../src/core/tokens.ts";
import { toyDefinition } from "../../src/generators/next-scale/toy/definition.ts";
import { packTokens, readTokensFile, tokensFor } from "../../src/generators/tokens-file.ts";

describe("tokens file", () => {
  let dir: string;
  let toy: GeneratorTraits;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "tokens-"));
    toy = await toyDefinition.describe();
  });
  afterAll(() => rm(dir, { recursive: true }));

  const path = () => join(dir, "tokens.json");
  const blank = () =>
    toy.stages.map(({ tokens: count }) => ({ count, data: new Uint8Array(count * elementsOf(toy.tokens)) }));
  const written = async (content: unknown) => {
    await writeFile(path(), JSON.stringify(content));
    return readTokensFile(path());
  };

  it("gives back the tokens that were written, whatever they are and of however many stages", async () => {
    const tokens = fc.tuple(
      ...blank().map(({ count, data: { length } }) =>
        fc
          .uint8Array({ min: 0, max: 1, minLength: length, maxLength: length })
          .map((data) => ({ count, data })),
      ),
    );
    await fc.assert(
      fc.asyncProperty(tokens, fc.integer({ min: 1, max: 4 }), async (all, count) => {
        const file = await written(packTokens(toy, all.slice(0, count)));
        expect(tokensFor(toy, file, "tokens.json")).toEqual(all.slice(0, count));
        expect(tokensFor(toy, file, "tokens.json", 1)).toEqual(all.slice(0, 1));
      }),
      { numRuns: 20 },
    );
  });

  it("packs the first bit highest, so that the file can be read elsewhere", () => {
    const tokens = blank();
    tokens[1]!.data.set([1, 0, 1, 0, 0, 0, 0, 1, 1]);
    const { stages, ...head } = packTokens(toy, tokens);
    expect([...Buffer.from(stages[1]!.base64, "base64")]).toEqual([0b10100001, 0b10000000]);
    expect(stages[1]).toMatchObject({ label: "2x2", count: 4 });
    expect(head).toMatchObject({ kind: "bits", width: 3, dtype: "uint8", shape: "1:1" });
  });

  it("says what is wrong with a file that is none", async () => {
    await expect(readTokensFile(join(dir, "none.json"))).rejects.toThrow(
      /cannot read the tokens .*ENOENT.*tts-var tokens/,
    );
    await writeFile(path(), "{");
    await expect(readTokensFile(path())).rejects.toThrow(/no tokens file: it is not valid JSON/);
    const good = packTokens(toy, blank());
    const spoiled = { ...good.stages[2]!, base64: good.stages[1]!.base64 };
    const short = await written({ ...good, stages: [...good.stages.slice(0, 2), spoiled] });
    expect(() => tokensFor(toy, short, "t.json")).toThrow(
      /t\.json: stage 2 has not the bytes of 16 tokens of 3 elements/,
    );
    await expect(written({ ...good, format: "other" })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    await expect(written({ ...good, stages: [] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  });

  it("refuses tokens of another shape or model, and a range that the file does not have", () => {
    const file = packTokens(toy, blank());
    const wider: GeneratorTraits = { ...toy, tokens: { kind: "bits", width: 4 } };
    expect(() => tokensFor(wider, file, "t.json")).toThrow(
      /t\.json has bits tokens of 3, but those of toy are bits of 4/,
    );
    const [first, second, ...others] = toy.stages;
    const taller = { ...toy, stages: [first!, { ...second!, label: "3x2", tokens: 6 }, ...others] };
    expect(() => tokensFor(taller, file, "t.json")).toThrow(
      /t\.json: stage 1 is 2x2 with 4 tokens, but toy at 1:1 has 3x2 with 6; the file was made for shape 1:1/,
    );
    const shorter = { ...toy, stages: toy.stages.slice(0, 2) };
    expect(() => tokensFor(shorter, file, "t.json")).toThrow(/has tokens of 4 stages, but toy has 2/);
    expect(() => tokensFor(toy, file, "t.json", 5)).toThrow(/keepUntil is 5; at most 4/);
  });
});
