import type { Tensor } from "../../../core/tensor.ts";
import type { CacheShape, KvChunk, PastCache } from "../kv-cache.ts";
import type { Grid } from "../resize.ts";
import { type HeadVectors, queriesOf } from "./attention.ts";
import { keptTokens } from "./evict.ts";
import type { Seen } from "./identify.ts";
import type { CachePolicy } from "./settings.ts";

/** Keys, values and positions of one layer of one candidate, by group and head, each as many tokens. */
interface LayerCache {
  readonly tokens: number;
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
  readonly positions: readonly Int32Array[];
}

/** A candidate's layers. Never changed, so copies share it. */
type Entry = readonly LayerCache[];

/** What all stages of a cache have in common. */
export interface TrimContext {
  readonly policy: CachePolicy;
  /** Told of every head after every scale, before it is cut. */
  readonly observe?: ((seen: Seen) => void) | undefined;
  readonly heads: number;
  readonly headDim: number;
  /** Token grids by stage. */
  readonly grids: readonly Grid[];
}

/**
 * A cache that is cut to its policy's budgets after every stage, row by row and head by head. What is dropped is gone:
 * memory really falls, and later stages read less.
 */
export class TrimmedCache implements PastCache {
  readonly #context: TrimContext;
  readonly #entries: readonly Entry[];
  readonly #stage: number;

  constructor(context: TrimContext, entries: readonly Entry[] = [], stage = 0) {
    this.#context = context;
    this.#entries = entries;
    this.#stage = stage;
  }

  append(chunks: readonly KvChunk[], width: number): TrimmedCache {
    const entries = chunks.flatMap((chunk) =>
      Array.from({ length: chunk.rows }, (_, row) => ({ chunk, row })),
    );
    const grown = entries.map(({ chunk, row }, index) => this.#grown(this.#entries[index], chunk, row));
    const rows = grown.length === 1 ? new Array<Entry>(width).fill(grown[0]!) : grown;
    return new TrimmedCache(this.#context, rows, this.#stage + 1);
  }

  select(parents: readonly number[]): TrimmedCache {
    const entries = this.#entries.length === 0 ? [] : parents.map((row) => this.#entries[row]!);
    return new TrimmedCache(this.#context, entries, this.#stage);
  }

  assemble(kind: "keys" | "values", layer: number, { groups, width, heads, headDim }: CacheShape): Tensor {
    const tokens = this.#entries[0]?.[layer]?.tokens ?? 0;
    const size = tokens * headDim;
    const data = new Float32Array(groups * width * heads * size);
    this.#entries.forEach((entry, row) => {
      const parts = entry[layer]![kind];
      for (let group = 0; group < groups; group++) {
        for (let head = 0; head < heads; head++) {
          data.set(parts[group * heads + head]!, ((group * width + row) * heads + head) * size);
        }
      }
    });
    return { dims: [groups * width, heads, tokens, headDim], data };
  }

  get bytes(): number {
    const buffers = new Set(
      this.#entries.flatMap((entry) =>
        entry.flatMap(({ keys, values, positions }) =>
          [...keys, ...values, ...positions].map(({ buffer }) => buffer),
        ),
      ),
    );
    return [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** A candidate's layers with one more scale, cut. */
  #grown(before: Entry | undefined, chunk: KvChunk, row: number): Entry {
    return chunk.keys.map((keys, layer) => {
      const [stored] = keys.dims as [number];
      const groups = stored / chunk.rows;
      const { heads } = this.#context;
      const parts = Array.from({ length: groups * heads }, (_, at) =>
        this.#head(before?.[layer], chunk, layer, Math.floor(at / heads) * chunk.rows + row, at % heads, at),
      );
      return {
        tokens: parts[0]!.positions.length,
        keys: parts.map((part) => part.keys),
        values: parts.map((part) => part.values),
        positions: parts.map((part) => part.positions),
      };
    });
  }

  /** One head of one group: what stays of the old and the new tokens. */
  #head(
    before: LayerCache | undefined,
    chunk: KvChunk,
    layer: number,
    stored: number,
    head: number,
    at: number,
  ) {
    const { policy, observe, heads, headDim, grids } = this.#context;
    const added = chunk.keys[layer]!.dims[2]!;
    const from = (stored * heads + head) * added * headDim;
    const newOf = (tensor: Tensor) => tensor.data.subarray(from, from + added * headDim);
    const start = grids.slice(0, this.#stage).reduce((sum, { h, w }) => sum + h * w, 0);
    const old = before?.positions[at] ?? new Int32Array();
    const positions = Int32Array.from([
      ...old,
      ...Array.from({ length: added }, (_, index) => start + index),
    ]);
    const keys = vectors(before?.keys[at], newOf(chunk.keys[layer]!), headDim);
    const values = vectors(before?.values[at], newOf(chunk.values[layer]!), headDim);
    const queries = queriesOf(chunk.queries![layer]!, stored, head, headDim);
    observe?.({ layer, head, stage: this.#stage, keys, positions, queries });
    const kept =
      keys.count <= policy.budgets[layer]!
        ? Array.from({ length: keys.count }, (_, index) => index)
        : keptTokens(policy, {
            layer,
            head,
            keys,
            positions,
            queries,
            grid: grids[this.#stage]!,
            first: grids.slice(0, 2).reduce((sum, { h, w }) => sum + h * w, 0),
          });
    return {
      keys: gathered(keys, kept, headDim),
      values: gathered(values, kept, headDim),
      positions: Int32Array.from(kept, (index) => positions[index]!),
    };
  }
}

/** Old vectors, then new ones, without copying. */
function vectors(old: Float32Array | undefined, added: Float32Array, size: number): HeadVectors {
  const first = (old?.length ?? 0) / size;
  return {
    count: first + added.length / size,
    at: (token) =>
      token < first
        ? old!.subarray(token * size, (token + 1) * size)
        : added.subarray((token - first) * size, (token - first + 1) * size),
  };
}

function gathered(from: HeadVectors, kept: readonly number[], size: number): Float32Array {
  const out = new Float32Array(kept.length * size);
  kept.forEach((token, index) => {
    out.set(from.at(token), index * size);
  });
  return out;
}
