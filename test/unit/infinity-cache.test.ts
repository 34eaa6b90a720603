import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KvCache, type KvChunk } from "../../src/generators/next-scale/kv-cache.ts";

const heads = 2;
const headDim = 2;

/** A chunk whose values name their place: group, row, head, token, channel. */
function chunk(scale: number, rows: number, tokens: number): KvChunk {
  const dims = [2 * rows, heads, tokens, headDim];
  const data = Float32Array.from(
    { length: 2 * rows * heads * tokens * headDim },
    (_, at) => scale * 10_000 + at,
  );
  return { keys: [{ dims, data }], values: [{ dims, data: data.map((value) => -value) }], rows };
}

/** The same by copying rows at every step: each row holds its tokens as [group][head] lists. */
function naive(steps: readonly { tokens: number; parents: readonly number[] }[], width: number): number[] {
  let rows: number[][][][] = Array.from({ length: width }, () => [
    [[], []],
    [[], []],
  ]);
  steps.forEach(({ tokens, parents }, scale) => {
    const stored = scale === 0 ? 1 : rows.length;
    const { data } = chunk(scale, stored, tokens).keys[0]!;
    rows = rows.map((groups, row) =>
      groups.map((perHead, group) =>
        perHead.map((past, head) => {
          const from = ((group * stored + (stored === 1 ? 0 : row)) * heads + head) * tokens * headDim;
          return [...past, ...data.subarray(from, from + tokens * headDim)];
        }),
      ),
    );
    rows = parents.map((parent) => rows[parent]!);
  });
  return [0, 1].flatMap((group) => rows.flatMap((row) => row[group]!.flat()));
}

describe("KvCache", () => {
  it("assembles what copying at every step would give", () => {
    const program = fc.record({
      width: fc.integer({ min: 1, max: 4 }),
      steps: fc.array(
        fc.record({
          tokens: fc.integer({ min: 1, max: 3 }),
          picks: fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    });
    fc.assert(
      fc.property(program, ({ width, steps }) => {
        let cache = new KvCache();
        let count = width;
        const plain: { tokens: number; parents: number[] }[] = [];
        steps.forEach(({ tokens, picks }, scale) => {
          cache = cache.append([chunk(scale, scale === 0 ? 1 : count, tokens)], count);
          const parents = picks.map((pick) => pick % count);
          cache = cache.select(parents);
          count = parents.length;
          plain.push({ tokens, parents });
        });
        const past = cache.assemble("keys", 0, { groups: 2, width: count, heads, headDim });
        expect(past.dims).toEqual([2 * count, heads, cache.tokens, headDim]);
        expect([...past.data]).toEqual(naive(plain, width));
      }),
    );
  });

  it("drops the unconditional group by taking one group", () => {
    const cache = new KvCache().append([chunk(1, 3, 2)], 3).select([2, 0]);
    const both = cache.assemble("values", 0, { groups: 2, width: 2, heads, headDim });
    const one = cache.assemble("values", 0, { groups: 1, width: 2, heads, headDim });
    expect([...one.data]).toEqual([...both.data.subarray(0, both.data.length / 2)]);
  });

  it("takes a scale that was computed in several blocks of rows", () => {
    const [first, second] = [chunk(1, 2, 2), chunk(2, 1, 2)];
    const cache = new KvCache().append([first, second], 3).select([2, 0]);
    const past = cache.assemble("keys", 0, { groups: 2, width: 2, heads, headDim });
    const row = (part: KvChunk, index: number) => {
      const size = heads * 2 * headDim;
      return [...part.keys[0]!.data.subarray(index * size, (index + 1) * size)];
    };
    // Groups come first: rows 0 and 1 of the second block are its candidate's conditional and unconditional branches.
    expect([...past.data]).toEqual([row(second, 0), row(first, 0), row(second, 1), row(first, 2)].flat());
  });

  it("is legal with nothing in it", () => {
    const past = new KvCache().assemble("keys", 0, { groups: 2, width: 1, heads, headDim });
    expect(past).toEqual({ dims: [2, heads, 0, headDim], data: new Float32Array() });
  });
});
