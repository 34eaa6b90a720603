import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { GeneratorTraits } from "../../../src/core/generator.ts";
import { elementsOf, type Tokens } from "../../../src/core/tokens.ts";
import type { InfinityState } from "../../../src/generators/next-scale/infinity/graph-network.ts";
import type { OpenNetwork } from "../../../src/generators/next-scale/infinity/open.ts";

/** Arrays that PyTorch recorded: a JSON listing and one file with their bytes. */
export interface Recording {
  readonly file: string;
  readonly arrays: Record<string, { dtype: "float32" | "uint8"; shape: number[]; offset: number }>;
}

/** A recorded generation with given bits, in which some candidates go on after a scale. */
export interface GoldenCase {
  readonly prompt: string;
  readonly negative?: string | null;
  readonly candidates: number;
  readonly keep: { readonly afterScale: number; readonly candidates: readonly number[] };
}

export type Read = (name: string) => Float32Array;

/** Reader of a recording's arrays, as float32; uint8 arrays are widened. */
export function reader(folder: URL, { file, arrays }: Recording): Read {
  const bytes = readFileSync(new URL(file, folder));
  return (name) => {
    const { dtype, shape, offset } = arrays[name]!;
    const size = shape.reduce((product, dim) => product * dim, 1);
    const data = new Uint8Array(bytes.subarray(offset, offset + size * (dtype === "float32" ? 4 : 1)));
    return dtype === "float32" ? new Float32Array(data.buffer) : Float32Array.from(data);
  };
}

/** An array as so many rows. */
export function rowsOf(data: Float32Array, count: number): Float32Array[] {
  const stride = data.length / count;
  return Array.from({ length: count }, (_, row) => data.slice(row * stride, (row + 1) * stride));
}

export function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(found.length).toBe(expected.length);
  let most = 0;
  for (let at = 0; at < found.length; at++) most = Math.max(most, Math.abs(found[at]! - expected[at]!));
  return most;
}

/** The recorded bits of one finished candidate by scale, following the recorded selection backwards. */
export function tokensOf(
  read: Read,
  golden: GoldenCase,
  finalRow: number,
  { stages, tokens }: GeneratorTraits,
): Tokens[] {
  const { afterScale, candidates } = golden.keep;
  return stages.map(({ index: scale }) => {
    const early = scale <= afterScale;
    const rows = rowsOf(read(`bits_${scale}`), early ? golden.candidates : candidates.length);
    const data = Uint8Array.from(rows[early ? candidates[finalRow]! : finalRow]!);
    return { count: data.length / elementsOf(tokens), data };
  });
}

/** Walks through the recorded generation and compares inputs, logits and final codes. */
export async function expectGolden(
  { network, code, model }: OpenNetwork,
  golden: GoldenCase,
  read: Read,
  tolerance: { readonly delta: number; readonly code: number },
): Promise<void> {
  const { prompt, negative, candidates, keep } = golden;
  let state: InfinityState = await network.begin({
    prompt,
    ...(negative ? { negativePrompt: negative } : {}),
    seed: 0,
  });
  let latents: (Float32Array | null)[] = new Array<null>(candidates).fill(null);
  for (const scale of model.schedule.scales.keys()) {
    const length = code.tokens(scale) * code.tokenChannels;
    const data = new Float32Array(latents.length * length);
    if (scale > 0) {
      latents.forEach((latent, row) => {
        code.input(latent!, scale, data.subarray(row * length, (row + 1) * length));
      });
      expect(worst(data, read(`z_${scale}`))).toBeLessThan(tolerance.code);
    }
    const z = scale > 0 ? { dims: [latents.length, code.tokens(scale), code.tokenChannels], data } : null;
    const output = await network.run(state, { stage: scale, width: latents.length, z, guided: true });
    state = output.state;
    // The first scale is computed once and shared; PyTorch recorded it for every candidate.
    const found = scale > 0 ? output.delta.data : repeatRows(output.delta.data, latents.length);
    expect(worst(found, read(`delta_${scale}`))).toBeLessThan(tolerance.delta);
    const bits = rowsOf(read(`bits_${scale}`), latents.length);
    latents = latents.map((latent, row) => code.add(latent, Uint8Array.from(bits[row]!), scale));
    if (scale === keep.afterScale) {
      latents = keep.candidates.map((row) => latents[row]!);
      state = network.select(state, keep.candidates);
    }
  }
  rowsOf(read("latent"), latents.length).forEach((expected, row) => {
    expect(worst(latents[row]!, expected)).toBeLessThan(tolerance.code);
  });
}

/** [2 groups, 1 row, ...] as [2 groups, count rows, ...]. */
function repeatRows(data: Float32Array, count: number): Float32Array {
  const stride = data.length / 2;
  const out = new Float32Array(data.length * count);
  for (let row = 0; row < 2 * count; row++) {
    const group = Math.floor(row / count);
    out.set(data.subarray(group * stride, (group + 1) * stride), row * stride);
  }
  return out;
}
