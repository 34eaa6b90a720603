import { sizeOf, type Tensor } from "../../core/tensor.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import type { Conditioning } from "../canvas/prompts.ts";

/** Keys and values of one finished cell by name of the graph's output, for one candidate and one guidance group. */
export type CellMemory = Readonly<Record<string, Float32Array>>;

/** A cell of one candidate at a time of the flow, with the cells before it. */
export interface CellInput {
  /** [tokens, values] */
  readonly tokens: ArrayLike<number>;
  readonly past: readonly CellMemory[];
}

export interface CellGraph {
  readonly step: OrtSession;
  readonly depth: number;
  readonly heads: number;
  readonly headDim: number;
  /** Tokens of a cell, and values of a token. */
  readonly tokens: number;
  readonly values: number;
}

/** Candidates in one call of the graph. */
const AT_ONCE = 16;

/**
 * The graph of one cell for many candidates, which are all at the same cell.
 *
 * @param keep also give the cells' own keys and values
 */
export async function runCells(
  graph: CellGraph,
  inputs: readonly CellInput[],
  cell: number,
  time: number,
  conditioning: Conditioning,
  keep = false,
): Promise<{ velocity: Float32Array; memory: CellMemory }[]> {
  const { step, depth, heads, headDim, tokens, values } = graph;
  const layers = Array.from({ length: depth }, (_, layer) => layer).flatMap((layer) =>
    ["k", "v"].map((kind) => `${kind}_${layer}`),
  );
  const places = {
    dims: [tokens],
    data: BigInt64Array.from({ length: tokens }, (_, at) => BigInt(cell * tokens + at)),
  };
  const found: { velocity: Float32Array; memory: CellMemory }[] = [];
  for (let start = 0; start < inputs.length; start += AT_ONCE) {
    const part = inputs.slice(start, start + AT_ONCE);
    const data = new Float32Array(part.length * tokens * values);
    part.forEach((input, row) => {
      data.set(input.tokens, row * tokens * values);
    });
    const feeds: Record<string, Tensor | typeof places> = {
      tokens: { dims: [part.length, tokens, values], data },
      time: { dims: [1], data: Float32Array.of(time) },
      places,
      ...conditioning,
    };
    for (const layer of layers) feeds[`past_${layer}`] = joined(part, layer, [heads, tokens, headDim]);
    const fetches = ["velocity", ...(keep ? layers.map((layer) => `new_${layer}`) : [])];
    const output = await step.run(feeds, fetches);
    part.forEach((_, row) => {
      const own = (name: string): Float32Array => {
        const { dims, data: all } = output[name]!;
        const size = sizeOf(dims.slice(1));
        return all.slice(row * size, (row + 1) * size);
      };
      const memory = keep ? Object.fromEntries(layers.map((layer) => [layer, own(`new_${layer}`)])) : {};
      found.push({ velocity: own("velocity"), memory });
    });
  }
  return found;
}

/** Keys or values of all cells before, [rows, heads, cells * tokens, headDim]. */
function joined(
  inputs: readonly CellInput[],
  layer: string,
  [heads, tokens, headDim]: readonly [number, number, number],
): Tensor {
  const cells = inputs[0]!.past.length;
  const block = tokens * headDim;
  const data = new Float32Array(inputs.length * heads * cells * block);
  inputs.forEach(({ past }, row) => {
    past.forEach((memory, cell) => {
      for (let head = 0; head < heads; head++) {
        const source = memory[layer]!.subarray(head * block, (head + 1) * block);
        data.set(source, ((row * heads + head) * cells + cell) * block);
      }
    });
  });
  return { dims: [inputs.length, heads, cells * tokens, headDim], data };
}
