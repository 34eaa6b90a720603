import type { Tensor } from "../../../core/tensor.ts";
import { type CacheShape, KvCache, type KvChunk, type PastCache } from "../kv-cache.ts";
import { type Grid, reduceArea } from "../resize.ts";

type Kind = "keys" | "values";

/** Keys and values of the source picture, computed once and shared by all candidates of a task. */
export interface SourceSegment {
  /** Per layer [groups, heads, cells, headDim]. */
  readonly chunk: KvChunk;
  readonly grid: Grid;
  /** Token grid of every scale. */
  readonly scales: readonly Grid[];
  /** Whether the first layer sees the source averaged to its own grid (VAREdit's scale-aligned reference). */
  readonly aligned: boolean;
}

/**
 * A past that begins with a source picture. Only the part after it belongs to candidates: selecting them copies nothing of
 * the source, and every layer gets it in front of its own past.
 */
export class SourceCache implements PastCache {
  readonly #source: SourceSegment;
  readonly #own: KvCache;
  /** Scales done, hence the scale that comes next. */
  readonly #scale: number;

  constructor(source: SourceSegment, own = new KvCache(), scale = 0) {
    this.#source = source;
    this.#own = own;
    this.#scale = scale;
  }

  /** Of the candidates' own part; the source is there once a task. */
  get bytes(): number {
    return this.#own.bytes;
  }

  append(chunks: readonly KvChunk[], width: number): SourceCache {
    return new SourceCache(this.#source, this.#own.append(chunks, width), this.#scale + 1);
  }

  select(parents: readonly number[]): SourceCache {
    return new SourceCache(this.#source, this.#own.select(parents), this.#scale);
  }

  assemble(kind: Kind, layer: number, shape: CacheShape): Tensor {
    const { groups, width, heads, headDim } = shape;
    const front = this.#front(kind, layer);
    const own = this.#own.assemble(kind, layer, shape);
    const [first, rest] = [front.dims[2]! * headDim, own.dims[2]! * headDim];
    const data = new Float32Array(groups * width * heads * (first + rest));
    for (let group = 0; group < groups; group++) {
      for (let row = 0; row < width; row++) {
        for (let head = 0; head < heads; head++) {
          const from = (group * heads + head) * first;
          const place = (group * width + row) * heads + head;
          data.set(front.data.subarray(from, from + first), place * (first + rest));
          data.set(own.data.subarray(place * rest, (place + 1) * rest), place * (first + rest) + first);
        }
      }
    }
    return { dims: [groups * width, heads, (first + rest) / headDim, headDim], data };
  }

  /** What a layer sees of the source at the next scale, [groups, heads, cells, headDim]. */
  #front(kind: Kind, layer: number): Tensor {
    const { chunk, grid, scales, aligned } = this.#source;
    const whole = chunk[kind][layer]!;
    const to = scales[this.#scale]!;
    if (layer > 0 || !aligned || (to.h === grid.h && to.w === grid.w)) return whole;
    const [groups, heads, cells, headDim] = whole.dims as [number, number, number, number];
    const data = new Float32Array(groups * heads * to.h * to.w * headDim);
    for (let head = 0; head < groups * heads; head++) {
      const planes = transpose(
        whole.data.subarray(head * cells * headDim, (head + 1) * cells * headDim),
        headDim,
      );
      const pooled = transpose(reduceArea(planes, headDim, grid, to), to.h * to.w);
      data.set(pooled, head * pooled.length);
    }
    return { dims: [groups, heads, to.h * to.w, headDim], data };
  }
}

/** [rows, columns] to [columns, rows]. */
function transpose(data: Float32Array, columns: number): Float32Array {
  const rows = data.length / columns;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = data[row * columns + column]!;
  }
  return out;
}
