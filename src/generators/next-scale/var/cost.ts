import type { GeneratorCost, GeneratorMemory } from "../../../core/generator.ts";
import { fullViewsAtOnce } from "../views-at-once.ts";
import { lengthsOf, type VarManifest } from "./manifest.ts";
import type { VarSettings } from "./settings.ts";

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Half-precision weights are widened to float32, in which the CPU computes. */
const WEIGHTS_BY_STORED = { fp16: 2, fp32: 1.1 } as const;

/** What the runtime keeps of a model's graphs besides their weights. */
const GRAPH_BYTES = 32 * 2 ** 20;

/** FLOPs per pixel of a decoder whose last levels are one channel wide. */
const FLOPS_PER_SQUARED_WIDTH = 143;

/**
 * FLOPs from the manifest alone, 2 per multiply-accumulate: projections and feed-forward, attention over past and new
 * tokens, input and head. What depends on the class alone is computed once (`flops.condition`).
 */
export function varCost(
  manifest: VarManifest,
  { guidanceUntil }: Pick<VarSettings, "guidanceUntil">,
): GeneratorCost {
  const { depth, embedDim: width, codeChannels, vocabulary } = manifest.architecture;
  const lengths = lengthsOf(manifest);
  const stages = lengths.map((tokens, stage) => {
    const context = sum(lengths.slice(0, stage + 1));
    const layers = depth * (24 * tokens * width ** 2 + 4 * tokens * context * width);
    const ends = 2 * tokens * width * (codeChannels + vocabulary);
    return (layers + ends) * (stage < guidanceUntil ? 2 : 1);
  });
  return {
    prompt: manifest.flops.condition,
    stages,
    shared: 1,
    views: { now: manifest.flops.decodePerLatentCell * lengths.at(-1)! },
  };
}

/** Estimates from the manifest alone; see `infinityMemory`, whose terms these are without the text. */
export function varMemory(
  manifest: VarManifest,
  { guidanceUntil }: Pick<VarSettings, "guidanceUntil">,
): GeneratorMemory {
  const { depth, embedDim: width, heads, vocabulary } = manifest.architecture;
  const lengths = lengthsOf(manifest);
  const last = lengths.length - 1;
  const groups = (stage: number): number => (stage < guidanceUntil ? 2 : 1);
  const cache = (tokens: number): number => FLOAT * 2 * depth * width * tokens;
  const left = lengths.map((tokens, stage) => (stage < last ? groups(stage) * cache(tokens) : 0));
  const { stride } = manifest.image;
  const pixels = stride ** 2;
  const decoderWidth = Math.sqrt(manifest.flops.decodePerLatentCell / pixels / FLOPS_PER_SQUARED_WIDTH);
  const side = manifest.sides.at(-1)!;
  return {
    weights: weightBytes(manifest),
    prompt: FLOAT * 2 * width * (6 * depth + 3),
    kept: left.map((_, stage) => sum(left.slice(0, stage + 1))),
    working: lengths.map((tokens, stage) => {
      const context = sum(lengths.slice(0, stage + 1));
      const scores = 2 * heads * tokens * context;
      const layer = tokens * (14 * width + 2 * vocabulary) + 3 * width * context;
      const carried = cache(stage < last ? context : context - tokens);
      return groups(stage) * (carried + FLOAT * (scores + layer));
    }),
    view: {
      bytes: lengths[last]! * FLOAT * 4 * decoderWidth * pixels,
      atOnce: fullViewsAtOnce({ h: side, w: side }),
    },
  };
}

function weightBytes({ graphs, sidecar, externalData, dtype = "fp16" }: VarManifest): number {
  const files = [
    graphs.condition,
    graphs.step,
    graphs.vae_decode,
    ...Object.values(externalData?.files ?? {}),
  ];
  return (
    GRAPH_BYTES + (sidecar.bytes ?? 0) + WEIGHTS_BY_STORED[dtype] * sum(files.map(({ bytes = 0 }) => bytes))
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
