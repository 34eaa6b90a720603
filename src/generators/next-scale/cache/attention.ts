import type { Tensor } from "../../../core/tensor.ts";

/** Vectors of one head, one for each token. */
export interface HeadVectors {
  readonly count: number;
  at(token: number): Float32Array;
}

/** Queries of a row and head out of a layer's tensor: [rows, heads, tokens, dim] or [rows, tokens, heads * dim]. */
export function queriesOf({ dims, data }: Tensor, row: number, head: number, headDim: number): HeadVectors {
  if (dims.length === 4) {
    const [, heads, count] = dims as [number, number, number, number];
    const start = (row * heads + head) * count * headDim;
    return { count, at: (token) => data.subarray(start + token * headDim, start + (token + 1) * headDim) };
  }
  const [, count, width] = dims as [number, number, number];
  const at = (token: number): Float32Array => {
    const start = (row * count + token) * width + head * headDim;
    return data.subarray(start, start + headDim);
  };
  return { count, at };
}

/** Attention of one query over keys: softmax of the products (scale and norms are in the queries). */
export function attention(query: Float32Array, keys: HeadVectors): Float64Array {
  const weights = new Float64Array(keys.count);
  let most = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < keys.count; token++) {
    const key = keys.at(token);
    let product = 0;
    for (let channel = 0; channel < query.length; channel++) product += query[channel]! * key[channel]!;
    weights[token] = product;
    if (product > most) most = product;
  }
  let sum = 0;
  for (let token = 0; token < keys.count; token++) {
    weights[token] = Math.exp(weights[token]! - most);
    sum += weights[token]!;
  }
  for (let token = 0; token < keys.count; token++) weights[token]! /= sum;
  return weights;
}

/** Attention of some queries, added up by key. */
export function attentionOf(
  queries: HeadVectors,
  picked: readonly number[],
  keys: HeadVectors,
): Float64Array {
  const total = new Float64Array(keys.count);
  for (const query of picked) {
    const weights = attention(queries.at(query), keys);
    for (let token = 0; token < total.length; token++) total[token]! += weights[token]!;
  }
  return total;
}

/** At most `count` whole numbers below `length`, spread evenly. */
export function spread(length: number, count: number): number[] {
  const taken = Math.min(length, count);
  return Array.from({ length: taken }, (_, index) => Math.floor(((index + 0.5) * length) / taken));
}
