import type { Tokens } from "../../core/tokens.ts";
import type { Prompt } from "../canvas/prompts.ts";

/** A canvas so far. Candidates that share the very `tokens` are one, and are computed once. */
export interface Canvas {
  readonly prompt: Prompt;
  /** [tokens, values], zero where nothing is known. */
  readonly tokens: Float32Array;
  readonly known: Uint8Array;
  /** Positions of the latest stage. */
  readonly latest: readonly number[];
  /** The decoder's vectors of the latest pass, [tokens, width]: what is masked still can be guessed from them. */
  readonly vectors: Float32Array | null;
  /** What lies under it, as the network reads it: a coarser canvas. */
  readonly under?: Float32Array;
}

/** Before the first stage. */
export function emptyCanvas(prompt: Prompt, count: number, values: number): Canvas {
  return {
    prompt,
    tokens: new Float32Array(count * values),
    known: new Uint8Array(count),
    latest: [],
    vectors: null,
  };
}

/** Share of the tokens that are known. */
export function knownShare({ known }: Canvas): number {
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** [rows, columns] as [columns, rows]. */
export function transposed(data: Float32Array, columns: number): Float32Array {
  const rows = data.length / columns;
  const out = new Float32Array(data.length);
  for (let at = 0; at < data.length; at++) out[(at % columns) * rows + Math.floor(at / columns)] = data[at]!;
  return out;
}

/** Tokens at positions, [tokens, values] of `count`: values and, last, where each lies, (position + 1/2) / count. */
export function packTokens(tokens: Float32Array, positions: readonly number[], count: number): Tokens {
  const values = tokens.length / count;
  const width = values + 1;
  const data = new Float32Array(positions.length * width);
  positions.forEach((position, at) => {
    data.set(tokens.subarray(position * values, (position + 1) * values), at * width);
    data[at * width + values] = (position + 0.5) / count;
  });
  return { count: positions.length, data };
}
