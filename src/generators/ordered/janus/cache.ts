import { sizeOf } from "../../../core/tensor.ts";
import type { Feeds } from "../../../inference/runtime/ort-session.ts";

type Block = Extract<Feeds[string], { readonly data: Float32Array | Uint16Array }>;

/** Keys and values of all tokens so far as the graph gave them: by input name, [rows, heads, tokens, headDim]. */
export interface CacheBlock {
  readonly tensors: Readonly<Record<string, Block>>;
}

/** Where a row's keys and values are: a block and the row in it. Blocks are immutable, so sessions share them. */
export interface Place {
  readonly block: CacheBlock;
  readonly row: number;
}

/** Keys and values of the given rows, in one block each; copies nothing where the rows are a whole block in order. */
export function gather(places: readonly Place[]): CacheBlock["tensors"] {
  const [first] = places;
  if (!first) throw new RangeError("a cache of no rows");
  const { tensors } = first.block;
  const names = Object.keys(tensors);
  const whole = tensors[names[0]!]!.dims[0] === places.length;
  if (whole && places.every(({ block, row }, at) => block === first.block && row === at)) return tensors;
  return Object.fromEntries(
    names.map((name) => {
      const { dims, data } = tensors[name]!;
      const stride = sizeOf(dims.slice(1));
      const length = stride * places.length;
      const rows = data instanceof Uint16Array ? new Uint16Array(length) : new Float32Array(length);
      places.forEach(({ block, row }, at) => {
        rows.set(block.tensors[name]!.data.subarray(row * stride, (row + 1) * stride), at * stride);
      });
      return [name, { dims: [places.length, ...dims.slice(1)], data: rows } as Block];
    }),
  );
}
