import { TtsVarError } from "../../../core/errors.ts";
import type { Quality } from "../../../core/generator.ts";
import type { Task } from "../../../core/task.ts";
import { sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { OrtSession } from "../../../inference/runtime/ort-session.ts";
import type { CachePolicy } from "../cache/settings.ts";
import { type TrimContext, TrimmedCache } from "../cache/trimmed-cache.ts";
import { KvCache, type KvChunk, type PastCache } from "../kv-cache.ts";
import type { Network, Pass, PassOutput } from "../network.ts";
import { Remembered } from "../remembered.ts";
import { type RopeTable, ropeTable } from "../rope.ts";
import { type Condition, createCondition, leadingGroups, stageOffset, type TextGraphs } from "./condition.ts";
import type { InfinityManifest, Schedule } from "./manifest.ts";
import { REMEMBERED_BYTES } from "./memory.ts";
import type { Sidecar } from "./sidecar.ts";

/** The transformer's graph, and its outputs with the queries of each layer: none where they are not asked for. */
export interface StepGraph {
  readonly session: OrtSession;
  readonly queries: readonly string[];
}

/** The open graphs and small weights of a model folder. */
export interface InfinityParts extends TextGraphs {
  readonly manifest: InfinityManifest;
  readonly sidecar: Sidecar;
  readonly step: StepGraph;
  readonly decoder: OrtSession;
  /** Absent: the folder has no draft decoder. */
  readonly draftDecoder: OrtSession | null;
}

/** Tokens of a block: more of them push each other out of the processor's caches, fewer do not fill its units. */
const TOKENS_AT_ONCE = 1024;

/** What is computed once per prompt: the conditioning, and the first stage, which no draw precedes. */
interface Prompt {
  readonly condition: Condition;
  /** By number of groups. */
  readonly first: Map<number, Promise<PassOutput<InfinityState>>>;
}

export interface InfinityState {
  /** The past holds more than the prompt's: the first stage is not that of other tasks with this prompt. */
  readonly alone?: boolean;
  /** By rising stage, the first from stage 0. */
  readonly prompts: readonly { readonly stage: number; readonly prompt: Prompt }[];
  readonly past: PastCache;
}

/** Infinity's transformer as five ONNX graphs (reference section 8), one graph for all stages. */
export class GraphNetwork implements Network<InfinityState> {
  readonly #parts: InfinityParts;
  readonly #schedule: Schedule;
  readonly #rope: readonly RopeTable[];
  readonly #rowsAtOnce: readonly number[];
  readonly #policy: CachePolicy | null;
  readonly #observe: TrimContext["observe"];
  /** A search comes back to its prompt for restarts and branches. */
  readonly #prompts = new Remembered<Prompt>(REMEMBERED_BYTES, ({ condition }) => bytesOf(condition));

  /**
   * @param rowsAtOnce candidates that a stage computes at once, by stage; default: all
   * @param policy     cuts the cache after every stage; needs a step graph with queries
   */
  constructor(
    parts: InfinityParts,
    schedule: Schedule,
    rowsAtOnce: readonly number[] = [],
    policy: CachePolicy | null = null,
    observe: TrimContext["observe"] = undefined,
  ) {
    const { embedDim, heads } = parts.manifest.architecture;
    this.#parts = parts;
    this.#schedule = schedule;
    this.#rowsAtOnce = rowsAtOnce;
    this.#policy = policy;
    this.#observe = observe;
    this.#rope = schedule.scales.map((_, scale) => ropeTable(schedule, scale, embedDim / heads));
  }

  async begin(task: Task): Promise<InfinityState> {
    const prompts = [];
    for (const { stage, prompt } of [{ stage: 0, prompt: task.prompt }, ...(task.promptAt ?? [])]) {
      prompts.push({ stage, prompt: await this.#prompt({ ...task, prompt }) });
    }
    return { prompts, past: this.#empty() };
  }

  async run(state: InfinityState, input: Pass): Promise<PassOutput<InfinityState>> {
    const groups = input.guided ? 2 : 1;
    if (input.stage > 0) return this.#compute(state, input, groups);
    if (state.alone) {
      const { delta, state: after } = await this.#compute(state, { ...input, width: 1 }, groups);
      return { delta, state: { ...after, past: after.past.select(new Array(input.width).fill(0)) } };
    }
    const known = promptAt(state, 0).first;
    let first = known.get(groups);
    if (!first) {
      first = this.#compute(state, { ...input, width: 1 }, groups);
      first.catch(() => known.delete(groups));
      known.set(groups, first);
    }
    const { delta, state: after } = await first;
    return { delta, state: { ...state, past: after.past.select(new Array(input.width).fill(0)) } };
  }

  select(state: InfinityState, parents: readonly number[]): InfinityState {
    return { ...state, past: state.past.select(parents) };
  }

  rewind(state: InfinityState, stages: number): InfinityState {
    const past = state.past.upTo?.(stages);
    if (!past) throw new TtsVarError("CONFIG_INVALID", "a cache that was cut cannot be rewound");
    return { ...state, past };
  }

  async decode(latents: Tensor, quality: Quality): Promise<Tensor> {
    const { decoder, draftDecoder } = this.#parts;
    const graph = quality === "draft" ? draftDecoder : decoder;
    if (!graph) throw new TtsVarError("CONFIG_INVALID", "this model has no draft decoder");
    return (await graph.run({ latent: latents }, ["image"]))["image"]!;
  }

  /**
   * Keys and values of tokens that are no scale of the picture but come before all of them, at the last scale's grid and
   * level; they see themselves and the text only.
   *
   * @param z [1, tokens, channels]
   */
  async prefill(state: InfinityState, z: Tensor): Promise<KvChunk> {
    const last = this.#schedule.scales.length - 1;
    return (await this.#block({ ...state, past: new KvCache() }, last, z, 2, true)).chunk!;
  }

  #empty(): PastCache {
    if (!this.#policy) return new KvCache();
    const { embedDim, heads } = this.#parts.manifest.architecture;
    const grids = this.#schedule.scales.map(([h, w]) => ({ h, w }));
    return new TrimmedCache({
      policy: this.#policy,
      observe: this.#observe,
      heads,
      headDim: embedDim / heads,
      grids,
    });
  }

  #prompt(task: Pick<Task, "prompt" | "negativePrompt">): Promise<Prompt> {
    const key = JSON.stringify([task.prompt, task.negativePrompt ?? null]);
    return this.#prompts.get(key, async () => {
      const { manifest, sidecar } = this.#parts;
      return { condition: await createCondition(this.#parts, manifest, sidecar, task), first: new Map() };
    });
  }

  /** A stage in blocks of rows, smaller where memory is short: a row's bits do not depend on its block (decision 0003). */
  async #compute(
    state: InfinityState,
    { stage, width, z }: Pass,
    groups: number,
  ): Promise<PassOutput<InfinityState>> {
    const { tokenChannels } = this.#parts.manifest.architecture;
    const [h, w] = this.#schedule.scales[stage]!;
    const stride = h * w * tokenChannels;
    const fast = Math.max(1, Math.floor(TOKENS_AT_ONCE / (groups * h * w)));
    const block = Math.min(width, fast, this.#rowsAtOnce[stage] ?? width);
    const deltas: Tensor[] = [];
    const chunks: KvChunk[] = [];
    for (let start = 0; start < width; start += block) {
      const rows = Math.min(block, width - start);
      const data =
        z?.data.subarray(start * stride, (start + rows) * stride) ?? new Float32Array(rows * stride);
      const past = state.past.select(Array.from({ length: rows }, (_, row) => start + row));
      const input = { dims: [rows, h * w, tokenChannels], data };
      const { delta, chunk } = await this.#block({ ...state, past }, stage, input, groups);
      deltas.push(delta);
      if (chunk) chunks.push(chunk);
    }
    const past = chunks.length > 0 ? state.past.append(chunks, width) : state.past;
    return { delta: joinRows(deltas), state: { ...state, past } };
  }

  async #block(
    state: InfinityState,
    stage: number,
    z: Tensor,
    groups: number,
    keepAll = false,
  ): Promise<{ delta: Tensor; chunk: KvChunk | null }> {
    const { depth, embedDim, heads } = this.#parts.manifest.architecture;
    const { past } = state;
    const { condition } = promptAt(state, stage);
    const rows = z.dims[0]!;
    const shape = { groups, width: rows, heads, headDim: embedDim / heads };
    const feeds: Record<string, Tensor> = {
      z,
      x_add: stageOffset(condition, this.#parts.sidecar, stage, groups),
      rope_cos: this.#rope[stage]!.cos,
      rope_sin: this.#rope[stage]!.sin,
    };
    for (const [name, tensor] of Object.entries(condition.fixed)) {
      feeds[name] = leadingGroups(tensor, groups);
    }
    for (let layer = 0; layer < depth; layer++) {
      feeds[`past_k_${layer}`] = past.assemble("keys", layer, shape);
      feeds[`past_v_${layer}`] = past.assemble("values", layer, shape);
    }
    const layers = Array.from({ length: depth }, (_, layer) => layer);
    // After the last stage nobody reads keys and values, so they are not fetched.
    const last = stage === this.#schedule.scales.length - 1 && !keepAll;
    const kept = last ? [] : layers.flatMap((layer) => [`new_k_${layer}`, `new_v_${layer}`]);
    const { session, queries } = this.#parts.step;
    const output = await session.run(feeds, ["delta", ...kept, ...(last ? [] : queries)]);
    const delta = output["delta"]!;
    if (last) return { delta, chunk: null };
    const chunk = {
      keys: layers.map((layer) => output[`new_k_${layer}`]!),
      values: layers.map((layer) => output[`new_v_${layer}`]!),
      ...(queries.length > 0 ? { queries: queries.map((name) => output[name]!) } : {}),
      rows,
    };
    return { delta, chunk };
  }
}

/** What a stage is conditioned on. Its keys and values of the text are inputs of every call, so it may change any time. */
function promptAt({ prompts }: InfinityState, stage: number): Prompt {
  return prompts.findLast((from) => from.stage <= stage)!.prompt;
}

/** Blocks of rows, each [groups, rows, ...], as one tensor [groups, all rows, ...]. */
function joinRows(blocks: readonly Tensor[]): Tensor {
  const [first, ...others] = blocks;
  if (others.length === 0) return first!;
  const [groups, , ...rest] = first!.dims as [number, number, ...number[]];
  const rows = blocks.reduce((sum, { dims }) => sum + dims[1]!, 0);
  const dims = [groups, rows, ...rest];
  const data = new Float32Array(sizeOf(dims));
  let at = 0;
  for (let group = 0; group < groups; group++) {
    for (const block of blocks) {
      const size = block.data.length / groups;
      data.set(block.data.subarray(group * size, (group + 1) * size), at);
      at += size;
    }
  }
  return { dims, data };
}

function bytesOf({ sos, fixed }: Condition): number {
  return [sos, ...Object.values(fixed)].reduce((sum, { data }) => sum + data.byteLength, 0);
}
