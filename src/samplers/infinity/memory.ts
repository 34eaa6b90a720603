import type { LatentSize, SamplerMemory } from "../../core/sampler.ts";
import type { InfinityManifest, Schedule } from "./manifest.ts";

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Conditioning of earlier prompts that is kept, in bytes. */
export const REMEMBERED_BYTES = 256 * 2 ** 20;

/** Latent cells that are decoded at once, at least one image: bounds the decoder's activations. */
export const DECODE_CELLS = 1024;

/**
 * Copies of the weights in memory. Half-precision weights are stored as such and computed in float32: the runtime keeps
 * the stored ones, the widened ones, and a packed copy of the matrices. Quantised and float32 weights stay as they are.
 */
const WEIGHT_COPIES: Readonly<Record<string, number>> = { fp16: 3, fp32: 1.1, int8: 1.1, int4: 1.1 };

/** Widths of a decoder of which the manifest does not tell them: those of Infinity's. */
const DECODER_WIDTHS: readonly number[] = [512, 512, 512, 256, 128];

/**
 * Estimates of a schedule's memory from the manifest alone. What they count: weights; keys and values of all scales but
 * the last; the copy of them that a stage's rows get as one tensor; attention scores and their softmax; the widest
 * activations of one layer; the decoder's activations at full resolution. `scripts/measure-memory.ts` compares them with
 * reality.
 */
export function infinityMemory(manifest: InfinityManifest, schedule: Schedule): SamplerMemory {
  const { depth, embedDim, heads, ffnHidden, textMaxLength } = manifest.architecture;
  const lengths = schedule.scales.map(([h, w]) => h * w);
  const pastOf = lengths.map((_, stage) => lengths.slice(0, stage).reduce((sum, length) => sum + length, 0));
  const rowsOf = (rows: number, guided: boolean): number => rows * (guided ? 2 : 1);
  /** Keys and values of so many tokens of one row, in all layers. */
  const cache = (tokens: number): number => FLOAT * 2 * depth * embedDim * tokens;
  const chunk = manifest.attention?.queryChunk ?? Number.POSITIVE_INFINITY;
  return {
    weights: weightBytes(manifest),
    text: 2 * 2 * cache(Math.min(manifest.flops.nominalTokens, textMaxLength)),
    kept: (stage, rows, guided) =>
      stage < lengths.length - 1 ? rowsOf(rows, guided) * cache(lengths[stage]!) : 0,
    working(stage, rows, guided) {
      const tokens = lengths[stage]!;
      const context = pastOf[stage]! + tokens;
      const scores = 2 * heads * Math.min(tokens, chunk) * context;
      const layer = tokens * (6 * embedDim + 2 * ffnHidden) + 3 * embedDim * context;
      return rowsOf(rows, guided) * (cache(context) + FLOAT * (scores + layer));
    },
    decode(latent, count) {
      const cells = latent.h * latent.w;
      const images = Math.min(count, decodeBlock(latent));
      return images * cells * decodeBytesPerCell(manifest);
    },
  };
}

/** Images of a size that are decoded at once. */
export function decodeBlock({ h, w }: LatentSize): number {
  return Math.max(1, Math.floor(DECODE_CELLS / (h * w)));
}

/** The decoder's widest moment: a block at full resolution that still has the width of the level before. */
function decodeBytesPerCell({ image, vae }: InfinityManifest): number {
  const widths = vae?.decoderWidths ?? DECODER_WIDTHS;
  const widest = widths.at(-2) ?? widths.at(-1)!;
  return FLOAT * 4 * widest * image.stride ** 2;
}

/** The encoder is left out: it is loaded only when an image is encoded. */
function weightBytes({ graphs, sidecar, precision }: InfinityManifest): number {
  const files = [graphs.text_encoder, graphs.condition, graphs.step, graphs.vae_decode].flatMap((graph) => [
    graph,
    ...(graph.data ?? []),
  ]);
  const stored = files.reduce((sum, { bytes = 0 }) => sum + bytes, sidecar.bytes ?? 0);
  return stored * (WEIGHT_COPIES[precision ?? "fp16"] ?? 1);
}
