import type { Tensor } from "../../core/tensor.ts";

/** Keys and values of one scale as the graph returned them: per layer [groups * rows, heads, tokens, headDim]. */
export interface KvChunk {
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
  /** Queries per layer, where a policy asks for them; see `queriesOf`. */
  readonly queries?: readonly Tensor[];
  /** Rows per guidance group that the chunk holds. */
  readonly rows: number;
}

/** What the graph wants of a cache: guidance groups (leading ones), rows, heads and width of a head. */
export interface CacheShape {
  readonly groups: number;
  readonly width: number;
  readonly heads: number;
  readonly headDim: number;
}

/** Keys and values of the scales so far, whole or cut. Immutable: every method leaves it as it was. */
export interface PastCache {
  /**
   * With one more scale.
   *
   * @param chunks its rows, in order; a single row is shared by all
   * @param width  number of current rows
   */
  append(chunks: readonly KvChunk[], width: number): PastCache;
  /** Bytes that the candidates keep, what they share counted once. */
  readonly bytes: number;
  /** Rows `parents[i]`, in that order, duplicates allowed. */
  select(parents: readonly number[]): PastCache;
  /** The first scales alone. Absent where what they were is gone. */
  upTo?(scales: number): PastCache;
  /** The past of one layer, [groups * width, heads, tokens, headDim], group-major; 1 group drops the unconditional rows. */
  assemble(kind: "keys" | "values", layer: number, shape: CacheShape): Tensor;
}

/** Where the keys and values of one candidate at one scale are. */
interface Place {
  readonly chunk: KvChunk;
  readonly row: number;
}

/**
 * Keys and values of all scales so far. Chunks are immutable and shared between candidates and sessions; selecting
 * candidates only composes lists of places. The contiguous tensors that the graph wants are put together once per step,
 * which the concatenation would have to do anyway.
 */
export class KvCache implements PastCache {
  /** By scale, the place of each current row. */
  readonly #scales: readonly (readonly Place[])[];
  /** Tokens cached per row. */
  readonly tokens: number;

  constructor(scales: readonly (readonly Place[])[] = []) {
    this.#scales = scales;
    this.tokens = scales.reduce((sum, [first]) => sum + (first?.chunk.keys[0]?.dims[2] ?? 0), 0);
  }

  get bytes(): number {
    const chunks = new Set(this.#scales.flatMap((places) => places.map(({ chunk }) => chunk)));
    const tensors = [...chunks].flatMap(({ keys, values }) => [...keys, ...values]);
    return tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  append(chunks: readonly KvChunk[], width: number): KvCache {
    const places = chunks.flatMap((chunk) =>
      Array.from({ length: chunk.rows }, (_, row) => ({ chunk, row })),
    );
    const rows = places.length === 1 ? new Array<Place>(width).fill(places[0]!) : places;
    return new KvCache([...this.#scales, rows]);
  }

  /** Rows `parents[i]`, in that order, duplicates allowed. Copies no keys or values. */
  select(parents: readonly number[]): KvCache {
    return new KvCache(this.#scales.map((places) => parents.map((row) => places[row]!)));
  }

  upTo(scales: number): KvCache {
    return new KvCache(this.#scales.slice(0, scales));
  }

  assemble(kind: "keys" | "values", layer: number, { groups, width, heads, headDim }: CacheShape): Tensor {
    const total = this.tokens * headDim;
    const data = new Float32Array(groups * width * heads * total);
    let column = 0;
    for (const places of this.#scales) {
      let part = 0;
      places.forEach(({ chunk, row: stored }, row) => {
        const source = chunk[kind][layer]!;
        part = source.dims[2]! * headDim;
        for (let group = 0; group < groups; group++) {
          const from = (group * chunk.rows + stored) * heads;
          const to = (group * width + row) * heads;
          for (let head = 0; head < heads; head++) {
            const start = (from + head) * part;
            data.set(source.data.subarray(start, start + part), (to + head) * total + column);
          }
        }
      });
      column += part;
    }
    return { dims: [groups * width, heads, this.tokens, headDim], data };
  }
}
