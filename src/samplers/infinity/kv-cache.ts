import type { Tensor } from "../../core/tensor.ts";

/** Keys and values of one scale as the graph returned them: per layer [groups * rows, heads, tokens, headDim]. */
export interface KvChunk {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Rows per guidance group that the chunk holds. */
  readonly rows: number;
}

interface Mapped {
  readonly chunk: KvChunk;
  /** Row of the chunk for each current row. */
  readonly map: Int32Array;
}

/**
 * Keys and values of all scales so far. Chunks are immutable and shared between candidates and sessions; selecting
 * candidates only composes index maps. The contiguous tensors that the graph wants are put together once per step,
 * which the concatenation would have to do anyway.
 */
export class KvCache {
  readonly #chunks: readonly Mapped[];
  /** Tokens cached per row. */
  readonly tokens: number;

  constructor(chunks: readonly Mapped[] = []) {
    this.#chunks = chunks;
    this.tokens = chunks.reduce((sum, { chunk }) => sum + (chunk.keys[0]?.dims[2] ?? 0), 0);
  }

  /**
   * With the chunk of one more scale.
   *
   * @param width number of current rows; a chunk of one row is shared by all of them
   */
  append(chunk: KvChunk, width: number): KvCache {
    const map = new Int32Array(width);
    if (chunk.rows > 1) for (let row = 0; row < width; row++) map[row] = row;
    return new KvCache([...this.#chunks, { chunk, map }]);
  }

  /** Rows `parents[i]`, in that order, duplicates allowed. Copies no keys or values. */
  select(parents: readonly number[]): KvCache {
    return new KvCache(
      this.#chunks.map(({ chunk, map }) => ({ chunk, map: Int32Array.from(parents, (row) => map[row]!) })),
    );
  }

  /**
   * The past of one layer, [groups * width, heads, tokens, headDim], group-major.
   *
   * @param groups leading guidance groups to take; 1 drops the unconditional rows
   */
  assemble(
    kind: "keys" | "values",
    layer: number,
    shape: { groups: number; width: number; heads: number; headDim: number },
  ): Tensor {
    const { groups, width, heads, headDim } = shape;
    const total = this.tokens * headDim;
    const data = new Float32Array(groups * width * heads * total);
    let column = 0;
    for (const { chunk, map } of this.#chunks) {
      const source = chunk[kind][layer]!;
      const part = source.dims[2]! * headDim;
      for (let group = 0; group < groups; group++) {
        for (let row = 0; row < width; row++) {
          const from = (group * chunk.rows + map[row]!) * heads;
          const to = (group * width + row) * heads;
          for (let head = 0; head < heads; head++) {
            const start = (from + head) * part;
            data.set(source.data.subarray(start, start + part), (to + head) * total + column);
          }
        }
      }
      column += part;
    }
    return { dims: [groups * width, heads, this.tokens, headDim], data };
  }
}
