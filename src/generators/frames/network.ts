import { sizeOf, type Tensor } from "../../core/tensor.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import type { Conditioning } from "../canvas/prompts.ts";

/** Keys and values of one finished frame by name, [heads, tokens, head dim], for one candidate and one guidance group. */
export type FrameMemory = Readonly<Record<string, Float32Array>>;

/** Places of a pose on the grid, x and y. */
export type Pose = readonly [number, number];

/** A frame of one candidate with what is remembered of those before it. */
export interface FrameInput {
  /** [tokens, values] */
  readonly tokens: ArrayLike<number>;
  readonly past: readonly FrameMemory[];
  /** Present in models with a plan. */
  readonly pose?: Pose | undefined;
}

export interface FrameGraphs {
  /** One pass over a frame: its velocity at a time, or what to remember of it once it is finished. */
  readonly step: OrtSession;
  readonly depth: number;
  readonly heads: number;
  readonly headDim: number;
  /** Side of a frame in tokens, and values of a token. */
  readonly side: number;
  readonly values: number;
  /** Sides of a patch in tokens, of frames in full and in outline. */
  readonly patch: { readonly full: number; readonly outline: number };
}

/** How a frame is read: at a time of its flow, or finished, in full or in outline. */
export type Reading = number | "full" | "outline";

/** The step graph's time of a frame that is finished (FAR's tag). */
const FINISHED = -1;
/** Candidates in one call of a graph. */
const AT_ONCE = 16;

/**
 * One pass over a frame of many candidates, which are all at the same frame.
 *
 * @returns velocities [tokens, values] at a time of the flow; else what to remember
 */
export async function runFrames(
  graphs: FrameGraphs,
  inputs: readonly FrameInput[],
  index: number,
  reading: Reading,
  conditioning: Conditioning,
): Promise<{ velocity: Float32Array; memory: FrameMemory }[]> {
  const { step, side, values, patch } = graphs;
  const tokens = side ** 2;
  const names = layersOf(graphs);
  const timed = typeof reading === "number";
  const places = placesOf(graphs, reading);
  const fetches = timed ? ["velocity"] : names.map((name) => `new_${name}`);
  const found: { velocity: Float32Array; memory: FrameMemory }[] = [];
  for (let start = 0; start < inputs.length; start += AT_ONCE) {
    const part = inputs.slice(start, start + AT_ONCE);
    const data = new Float32Array(part.length * tokens * values);
    part.forEach((input, row) => {
      data.set(input.tokens, row * tokens * values);
    });
    const feeds: Record<string, Parameters<OrtSession["run"]>[0][string]> = {
      tokens: { dims: [part.length, tokens, values], data },
      time: { dims: [1], data: Float32Array.of(timed ? reading : FINISHED) },
      places: { dims: [places.length], data: places },
      index: { dims: [1], data: BigInt64Array.of(BigInt(index)) },
      ...posesOf(part),
      ...Object.fromEntries(names.map((name) => [`past_${name}`, joined(graphs, part, name)])),
      ...conditioning,
    };
    const output = await step.run(feeds, fetches);
    part.forEach((_, row) => {
      const own = (name: string): Float32Array => {
        const { dims, data: all } = output[name]!;
        const size = sizeOf(dims.slice(1));
        return all.slice(row * size, (row + 1) * size);
      };
      found.push({
        velocity: timed ? fromPatches(own("velocity"), side, patch.full) : new Float32Array(0),
        memory: timed ? {} : Object.fromEntries(names.map((name) => [name, own(`new_${name}`)])),
      });
    });
  }
  return found;
}

/** Patches that are read; those of the outline are the graph's first. */
function placesOf({ side, patch }: FrameGraphs, reading: Reading): BigInt64Array {
  const [outline, full] = [(side / patch.outline) ** 2, (side / patch.full) ** 2];
  const first = reading === "outline" ? 0 : outline;
  const length = reading === "outline" ? outline : full;
  return BigInt64Array.from({ length }, (_, at) => BigInt(first + at));
}

/** [patches, tokens of a patch * values] -> [tokens, values], both in reading order. */
export function fromPatches(values: Float32Array, side: number, patch: number): Float32Array {
  const width = values.length / side ** 2;
  const across = side / patch;
  const out = new Float32Array(values.length);
  for (let token = 0; token < side ** 2; token++) {
    const [y, x] = [Math.floor(token / side), token % side];
    const block = Math.floor(y / patch) * across + Math.floor(x / patch);
    const from = (block * patch ** 2 + (y % patch) * patch + (x % patch)) * width;
    out.set(values.subarray(from, from + width), token * width);
  }
  return out;
}

function layersOf({ depth }: FrameGraphs): string[] {
  return Array.from({ length: depth }, (_, layer) => [`k_${layer}`, `v_${layer}`]).flat();
}

function posesOf(inputs: readonly FrameInput[]) {
  if (!inputs[0]?.pose) return {};
  const data = BigInt64Array.from(
    inputs.flatMap(({ pose }) => [...pose!]),
    BigInt,
  );
  return { pose: { dims: [inputs.length, 2], data } };
}

/** Keys or values of all frames before, [rows, heads, tokens of all, head dim]; frames may differ in tokens. */
function joined({ heads, headDim }: FrameGraphs, inputs: readonly FrameInput[], name: string): Tensor {
  const blocks = inputs[0]!.past.map((memory) => memory[name]!.length / heads);
  const total = blocks.reduce((sum, block) => sum + block, 0);
  const data = new Float32Array(inputs.length * heads * total);
  inputs.forEach(({ past }, row) => {
    let before = 0;
    past.forEach((memory, frame) => {
      const block = blocks[frame]!;
      for (let head = 0; head < heads; head++) {
        const source = memory[name]!.subarray(head * block, (head + 1) * block);
        data.set(source, (row * heads + head) * total + before);
      }
      before += block;
    });
  });
  return { dims: [inputs.length, heads, total / headDim, headDim], data };
}
