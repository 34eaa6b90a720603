import {
  type GeneratorCost,
  type GeneratorMemory,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
  type Stage,
} from "../../../core/generator.ts";
import { GRAPHS } from "./files.ts";
import type { JanusModel } from "./model.ts";
import { type JanusSettings, resolveJanusSettings } from "./settings.ts";

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
/** Tokens of a prompt with what stands around it, for prices. */
export const NOMINAL_PROMPT = 24;
/** What the runtime keeps of a model's graphs besides their weights. */
const GRAPH_BYTES = 48 * 2 ** 20;
/** Bytes in memory by stored byte: the CPU computes half-precision weights in float32, others as they are. */
const WEIGHTS_BY_STORED = { fp16: 2, q4f16: 1.3 } as const;

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function janusTraits(model: JanusModel, given: unknown): GeneratorTraits {
  const settings = resolveJanusSettings(model, given);
  const { side, pixels } = model;
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: model.name,
    version: model.modelId,
    // Its decoder wants all tokens, so every view has the full size.
    shape: { id: "1:1", width: pixels, height: pixels, frames: 1, grain: pixels },
    stages: stagesOf(side, settings.rowsPerStage),
    tokens: { kind: "index", size: model.vision.codes },
    looks: ["now", "ahead"],
    can: ["keep", "log-prob"],
    cost: costOf(model, settings),
    memory: memoryOf(model, settings),
    settings: { ...settings, dtype: model.graphs.language_model.dtype },
  };
}

/** Rows of the picture from the top, so many a stage; the last one takes what is left. */
function stagesOf(side: number, rowsPerStage: number): Stage[] {
  return Array.from({ length: Math.ceil(side / rowsPerStage) }, (_, index) => {
    const [from, to] = [index * rowsPerStage, Math.min(side, (index + 1) * rowsPerStage)];
    const label = to - from === 1 ? `row ${to}` : `rows ${from + 1}-${to}`;
    return { index, label, tokens: (to - from) * side, final: to / side };
  });
}

/** Branches that are computed for a candidate. */
export function branchesOf({ guidance }: Pick<JanusSettings, "guidance">): 1 | 2 {
  return guidance === 1 ? 1 : 2;
}

/** FLOPs of one token of one branch that sees `context` tokens; norms, softmax and embeddings are left out. */
function tokenFlops({ text, vision }: JanusModel, context: number): number {
  const { hidden, feedForward, layers, heads, shared, headDim } = text;
  const projections = 2 * hidden * headDim * (2 * heads + 2 * shared) + 6 * hidden * feedForward;
  const attention = 4 * heads * headDim * context;
  return layers * (projections + attention) + 2 * hidden * (hidden + vision.codes);
}

function costOf(model: JanusModel, settings: JanusSettings): GeneratorCost {
  const { side } = model;
  const branches = branchesOf(settings);
  const sum = (from: number, to: number): number => {
    let flops = 0;
    for (let at = from; at < to; at++) flops += tokenFlops(model, NOMINAL_PROMPT + at);
    return branches * flops;
  };
  let done = 0;
  const stages = stagesOf(side, settings.rowsPerStage).map(({ tokens }) => {
    done += tokens;
    return sum(done - tokens, done);
  });
  const view = decodeFlops(model);
  // Tokens of a stage follow from each other, so not even the first stage is one for all.
  return {
    prompt: branches * NOMINAL_PROMPT * tokenFlops(model, NOMINAL_PROMPT / 2),
    stages,
    shared: 0,
    views: { now: view, ahead: view },
  };
}

/** FLOPs of the convolutions of a VQGAN decoder (Esser et al. 2021, as LlamaGen and Janus have it). */
function decodeFlops({ vision, side }: JanusModel): number {
  const { channels, multipliers, blocks, latent } = vision;
  const convolution = (from: number, to: number, cells: number, kernel = 3): number =>
    2 * kernel ** 2 * from * to * cells;
  const residual = (from: number, to: number, cells: number): number =>
    convolution(from, to, cells) +
    convolution(to, to, cells) +
    (from === to ? 0 : convolution(from, to, cells, 1));
  const attention = (width: number, cells: number): number =>
    convolution(4 * width, width, cells, 1) + 4 * width * cells ** 2;
  let cells = side ** 2;
  let width = channels * multipliers.at(-1)!;
  let flops = convolution(latent, width, cells) + 2 * residual(width, width, cells) + attention(width, cells);
  [...multipliers].reverse().forEach((multiplier, level) => {
    const next = channels * multiplier;
    for (let block = 0; block <= blocks; block++) {
      flops += residual(width, next, cells) + (level === 0 ? attention(next, cells) : 0);
      width = next;
    }
    if (level === multipliers.length - 1) return;
    cells *= 4;
    flops += convolution(width, width, cells);
  });
  return flops + convolution(width, 3, cells);
}

/**
 * Estimates from config.json and the sizes of files. What a candidate keeps are keys and values of all tokens so far, for
 * each branch; while a token is computed they are there twice, as they go in and as they come out.
 */
function memoryOf(model: JanusModel, settings: JanusSettings): GeneratorMemory {
  const { text, vision, side, pixels } = model;
  const branches = branchesOf(settings);
  const half = model.graphs.language_model.dtype.endsWith("16");
  const cache = (tokens: number): number =>
    branches * (half ? 2 : FLOAT) * 2 * text.layers * text.shared * text.headDim * (NOMINAL_PROMPT + tokens);
  const stages = stagesOf(side, settings.rowsPerStage);
  const ends = stages.map(({ final }) => Math.round(final * side) * side);
  const last = stages.length - 1;
  // Activations of one token, and the graph's own copies of keys and values.
  const activations = branches * FLOAT * (6 * text.hidden + 3 * text.feedForward + 2 * vision.codes);
  return {
    weights: GRAPH_BYTES + GRAPHS.reduce((sum, name) => sum + inMemory(model, name), 0),
    prompt: 2 * cache(0) + NOMINAL_PROMPT * activations,
    // Nobody reads what the last stage would leave behind.
    kept: ends.map((tokens, stage) => (stage < last ? cache(tokens) : 0)),
    working: ends.map((tokens) => 2 * cache(tokens) + activations),
    view: { bytes: FLOAT * 6 * vision.channels * pixels ** 2, atOnce: 1 },
  };
}

function inMemory({ graphs, bytes }: JanusModel, name: (typeof GRAPHS)[number]): number {
  const { dtype } = graphs[name];
  const factor =
    dtype in WEIGHTS_BY_STORED ? WEIGHTS_BY_STORED[dtype as keyof typeof WEIGHTS_BY_STORED] : 1.1;
  return factor * bytes[name];
}
