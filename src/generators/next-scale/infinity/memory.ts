import type { GeneratorMemory } from "../../../core/generator.ts";
import type { SamplingSettings } from "../settings.ts";
import { fullViewsAtOnce } from "../views-at-once.ts";
import { type InfinityManifest, latentGrid, type Schedule } from "./manifest.ts";

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Conditioning of earlier prompts that is kept, in bytes. */
export const REMEMBERED_BYTES = 256 * 2 ** 20;

/**
 * Bytes in memory by stored byte. Half-precision weights are widened to float32, in which the CPU computes; the others
 * stay as they are, with a little that is packed anew.
 */
const WEIGHTS_BY_STORED = { fp16: 2, fp32: 1.1, int8: 1.1, int4: 1.1 } as const;

/** What the runtime keeps of a model's graphs besides their weights. */
const GRAPH_BYTES = 48 * 2 ** 20;

/** FLOPs per pixel of a decoder whose last levels are one channel wide (Infinity's: 9.39 MFLOP at 256 channels). */
const FLOPS_PER_SQUARED_WIDTH = 143;

/**
 * Estimates of a schedule's memory from the manifest alone. What they count: weights; keys and values of all scales but
 * the last; the copy of them that a stage's rows get as one tensor; attention scores and their softmax; the widest
 * activations of one layer; the decoder's activations at full resolution. `scripts/measure-memory.ts` compares them with
 * reality.
 */
export function infinityMemory(
  manifest: InfinityManifest,
  schedule: Schedule,
  { guidanceUntil }: Pick<SamplingSettings, "guidanceUntil">,
  budgets: readonly number[] = [],
): GeneratorMemory {
  const { depth, embedDim, heads, ffnHidden, textMaxLength } = manifest.architecture;
  const lengths = schedule.scales.map(([h, w]) => h * w);
  const last = lengths.length - 1;
  const pastOf = lengths.map((_, stage) => lengths.slice(0, stage).reduce((sum, length) => sum + length, 0));
  const groupsOf = (stage: number): number => (stage < guidanceUntil ? 2 : 1);
  /** Keys and values of so many tokens of one row, in all layers. */
  const cache = (tokens: number): number => FLOAT * 2 * depth * embedDim * tokens;
  const scoreMatrices = manifest.attention === "blockwise" ? 0 : 2;
  const cut = budgets.length > 0;
  /** What is stored of them: of a cache that is cut, what each layer may keep, with its positions. */
  const stored = (tokens: number): number =>
    cut
      ? budgets.reduce((sum, budget) => sum + FLOAT * (2 * embedDim + heads) * Math.min(tokens, budget), 0)
      : cache(tokens);
  // Nobody reads what the last stage would leave behind.
  const left = lengths.map((tokens, stage) => (stage < last ? groupsOf(stage) * cache(tokens) : 0));
  const keptOf = (stage: number): number => {
    if (!cut) return left.slice(0, stage + 1).reduce((sum, bytes) => sum + bytes, 0);
    const newest = Math.min(stage, last - 1);
    return groupsOf(newest) * stored(pastOf[newest]! + lengths[newest]!);
  };
  const latent = latentGrid(manifest, schedule);
  return {
    weights: weightBytes(manifest),
    prompt: 2 * 2 * cache(Math.min(manifest.flops.nominalTokens, textMaxLength)),
    kept: lengths.map((_, stage) => keptOf(stage)),
    working: lengths.map((tokens, stage) => {
      const past = pastOf[stage]!;
      const context = (cut ? Math.min(past, Math.max(...budgets)) : past) + tokens;
      const scores = scoreMatrices * heads * tokens * context;
      const layer = tokens * (6 * embedDim + 2 * ffnHidden) + 3 * embedDim * context;
      // The past as the graph gets it, and what it gives back: nothing after the last stage. A cache that is cut is
      // written anew while the old one is there, and needs the queries.
      const fresh = stage < last ? cache(tokens) * (cut ? 1.5 : 1) : 0;
      const carried = stored(past) * (cut && stage < last ? 2 : 1) + fresh;
      return groupsOf(stage) * (carried + FLOAT * (scores + layer));
    }),
    view: {
      bytes: latent.h * latent.w * decodeBytesPerCell(manifest),
      atOnce: fullViewsAtOnce(latent),
    },
  };
}

/**
 * The decoder's widest moment: a block at full resolution that still has the width of the level before. How wide that is
 * follows from the FLOPs, which grow with its square.
 */
function decodeBytesPerCell({ image, flops }: InfinityManifest): number {
  const pixels = image.stride ** 2;
  const width = Math.sqrt(flops.decodePerLatentCell / pixels / FLOPS_PER_SQUARED_WIDTH);
  return FLOAT * 4 * width * pixels;
}

/** The encoder is left out: it is loaded only when an image is encoded. */
function weightBytes({ graphs, sidecar, externalData, dtype = "fp16" }: InfinityManifest): number {
  const { text_encoder, condition, step, vae_decode, vae_draft } = graphs;
  const beside = Object.values(externalData?.files ?? {});
  const files = [
    text_encoder,
    condition,
    step,
    vae_decode,
    ...(vae_draft ? [vae_draft] : []),
    sidecar,
    ...beside,
  ];
  return GRAPH_BYTES + WEIGHTS_BY_STORED[dtype] * files.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
}
