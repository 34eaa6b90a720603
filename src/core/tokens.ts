import { createHash } from "node:crypto";
import { philox } from "./rng.ts";
import type { Tensor } from "./tensor.ts";

/** What a model's tokens are: some bits each, an entry of a codebook each, or a vector each. */
export type TokenKind =
  | { readonly kind: "bits"; readonly width: number }
  | { readonly kind: "index"; readonly size: number }
  | { readonly kind: "vector"; readonly width: number };

/** Element type of a kind's data: one byte per bit, int32 indices, float32 vectors. */
export const TOKEN_DTYPES = { bits: "uint8", index: "int32", vector: "float32" } as const satisfies Record<
  TokenKind["kind"],
  string
>;

/** Array of a kind's elements. */
export const TOKEN_ARRAYS = { bits: Uint8Array, index: Int32Array, vector: Float32Array } as const;

/**
 * Tokens of one stage and one candidate, in the order in which the stage wrote them: `count` tokens of as many elements
 * as their kind has (`elementsOf`).
 */
export interface Tokens {
  readonly count: number;
  readonly data: Uint8Array | Int32Array | Float32Array;
}

/** Elements of one token. */
export function elementsOf(kind: TokenKind): number {
  return kind.kind === "index" ? 1 : kind.width;
}

/** What is wrong with tokens of a kind, or null: number and type of the elements, and their values. */
export function tokensProblem(kind: TokenKind, tokens: Tokens, count: number): string | null {
  const needed = count * elementsOf(kind);
  if (tokens.count !== count) return `${tokens.count} tokens given, ${count} needed`;
  const { data } = tokens;
  if (data.length !== needed) return `${data.length} values given, ${needed} needed`;
  if (!(data instanceof TOKEN_ARRAYS[kind.kind])) {
    return `${kind.kind} tokens must be ${TOKEN_DTYPES[kind.kind]}`;
  }
  const limit = kind.kind === "bits" ? 2 : kind.kind === "index" ? kind.size : null;
  const bad =
    limit === null
      ? data.findIndex((value) => !Number.isFinite(value))
      : data.findIndex((value) => value < 0 || value >= limit);
  if (bad < 0) return null;
  return `value ${data[bad]} at position ${bad} is ${limit === null ? "not finite" : `outside 0..${limit - 1}`}`;
}

/** Hash of drawn tokens, for traces and determinism checks. */
export function tokenHash({ data }: Tokens): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return createHash("sha256").update(bytes).digest("hex").slice(0, 16);
}

/** Tokens as bytes for files, traces and the wire: bits packed, the first one highest; else little-endian elements. */
export function bytesOfTokens({ kind }: TokenKind, { data }: Tokens): Uint8Array {
  if (kind === "bits") return packed(data);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

/** The inverse of `bytesOfTokens`. @throws RangeError when there are not as many bytes as `count` tokens need */
export function tokensOfBytes(kind: TokenKind, count: number, bytes: Uint8Array): Tokens {
  const elements = count * elementsOf(kind);
  const needed = kind.kind === "bits" ? Math.ceil(elements / 8) : elements * 4;
  if (bytes.length !== needed) throw new RangeError(`${bytes.length} bytes given, ${needed} needed`);
  if (kind.kind === "bits") return { count, data: unpacked(bytes, elements) };
  const copy = bytes.slice().buffer;
  return { count, data: kind.kind === "index" ? new Int32Array(copy) : new Float32Array(copy) };
}

/**
 * Tokens of several candidates as vectors in which the squared distance counts how much they differ: [rows, dim]. Bits
 * stand for themselves (the Hamming distance) and vectors for themselves. An index stands as eight pseudo-random signs,
 * scaled so that two different entries are 1 apart on average.
 */
export function tokenVectors(kind: TokenKind, rows: readonly Tokens[]): Tensor {
  const spread = kind.kind === "index" ? INDEX_SIGNS : 1;
  const dim = (rows[0]?.data.length ?? 0) * spread;
  const data = new Float32Array(rows.length * dim);
  rows.forEach((tokens, row) => {
    if (kind.kind === "index") spreadIndices(tokens.data, data.subarray(row * dim, (row + 1) * dim));
    else data.set(tokens.data, row * dim);
  });
  return { dims: [rows.length, dim], data };
}

const INDEX_SIGNS = 8;
/** Two signs differ half of the time, by twice this: eight of them are 1 apart in expectation. */
const SIGN = 0.25;

function spreadIndices(indices: ArrayLike<number>, out: Float32Array): void {
  const words = new Uint32Array(4);
  for (let at = 0; at < indices.length; at++) {
    philox(indices[at]!, 0, 0, 0, 0, 0, words);
    const signs = words[0]!;
    for (let bit = 0; bit < INDEX_SIGNS; bit++) {
      out[at * INDEX_SIGNS + bit] = (signs >>> bit) & 1 ? SIGN : -SIGN;
    }
  }
}

function packed(bits: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (let at = 0; at < bits.length; at++) if (bits[at]) bytes[at >> 3]! |= 0x80 >> (at & 7);
  return bytes;
}

function unpacked(bytes: Uint8Array, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, at) => (bytes[at >> 3]! >> (7 - (at & 7))) & 1);
}
