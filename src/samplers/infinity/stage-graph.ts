import type { SampleRequest } from "../../core/sampler.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { OrtSession } from "../../models/ort-session.ts";
import { type Condition, createCondition, leadingGroups, type TextGraphs } from "./condition.ts";
import { KvCache } from "./kv-cache.ts";
import type { InfinityManifest, Schedule } from "./manifest.ts";
import { checkMemory, stageBytes } from "./memory.ts";
import { type RopeTable, ropeTable } from "./rope.ts";
import type { Sidecar } from "./sidecar.ts";
import type { StageInput, StageModel, StageOutput } from "./stage-model.ts";

/** Prompts whose conditioning is kept: a search comes back to its prompt for restarts and branches. */
const REMEMBERED_PROMPTS = 8;

/** The open graphs and small weights of a model folder. */
export interface InfinityParts extends TextGraphs {
  readonly manifest: InfinityManifest;
  readonly sidecar: Sidecar;
  readonly step: OrtSession;
  readonly decoder: OrtSession;
}

/** What is computed once per prompt: the conditioning, and the first stage, which no draw precedes. */
interface Prompt {
  readonly condition: Condition;
  /** By number of groups. */
  readonly first: Map<number, Promise<StageOutput<InfinityState>>>;
}

export interface InfinityState {
  readonly prompt: Prompt;
  readonly past: KvCache;
}

/** Infinity's transformer as five ONNX graphs (reference section 8), one graph for all stages. */
export class StageGraph implements StageModel<InfinityState> {
  readonly #parts: InfinityParts;
  readonly #schedule: Schedule;
  readonly #rope: readonly RopeTable[];
  readonly #prompts = new Map<string, Promise<Prompt>>();

  constructor(parts: InfinityParts, schedule: Schedule) {
    const { embedDim, heads } = parts.manifest.architecture;
    this.#parts = parts;
    this.#schedule = schedule;
    this.#rope = schedule.scales.map((_, scale) => ropeTable(schedule, scale, embedDim / heads));
  }

  async begin(request: SampleRequest): Promise<InfinityState> {
    const key = JSON.stringify([request.prompt, request.negativePrompt ?? null]);
    let prompt = this.#prompts.get(key);
    if (!prompt) {
      const { manifest, sidecar } = this.#parts;
      prompt = createCondition(this.#parts, manifest, sidecar, request).then((condition) => ({
        condition,
        first: new Map(),
      }));
      prompt.catch(() => this.#prompts.delete(key));
    }
    // Re-inserting moves the prompt to the end of the map's order: the first key is the least recently used.
    this.#prompts.delete(key);
    this.#prompts.set(key, prompt);
    if (this.#prompts.size > REMEMBERED_PROMPTS) {
      const [oldest] = this.#prompts.keys();
      if (oldest !== undefined) this.#prompts.delete(oldest);
    }
    return { prompt: await prompt, past: new KvCache() };
  }

  async run(state: InfinityState, input: StageInput): Promise<StageOutput<InfinityState>> {
    const groups = input.guided ? 2 : 1;
    if (input.stage > 0) return this.#compute(state, input, groups);
    let first = state.prompt.first.get(groups);
    if (!first) {
      first = this.#compute(state, { ...input, width: 1 }, groups);
      first.catch(() => state.prompt.first.delete(groups));
      state.prompt.first.set(groups, first);
    }
    const { delta, state: after } = await first;
    return { delta, state: { ...after, past: after.past.select(new Array(input.width).fill(0)) } };
  }

  select(state: InfinityState, parents: readonly number[]): InfinityState {
    return { ...state, past: state.past.select(parents) };
  }

  async decode(latents: Tensor): Promise<Tensor> {
    return (await this.#parts.decoder.run({ latent: latents }, ["image"]))["image"]!;
  }

  async #compute(
    state: InfinityState,
    { stage, width, z }: StageInput,
    groups: number,
  ): Promise<StageOutput<InfinityState>> {
    const { manifest } = this.#parts;
    checkMemory(stageBytes(manifest, this.#schedule, stage, width, groups), stage, width);
    const { depth, embedDim, heads, tokenChannels } = manifest.architecture;
    const shape = { groups, width, heads, headDim: embedDim / heads };
    const feeds: Record<string, Tensor> = {
      z: z ?? { dims: [width, 1, tokenChannels], data: new Float32Array(width * tokenChannels) },
      x_add: this.#offset(state.prompt.condition, stage, groups),
      rope_cos: this.#rope[stage]!.cos,
      rope_sin: this.#rope[stage]!.sin,
    };
    for (const [name, tensor] of Object.entries(state.prompt.condition.fixed)) {
      feeds[name] = leadingGroups(tensor, groups);
    }
    for (let layer = 0; layer < depth; layer++) {
      feeds[`past_k_${layer}`] = state.past.assemble("keys", layer, shape);
      feeds[`past_v_${layer}`] = state.past.assemble("values", layer, shape);
    }
    const layers = Array.from({ length: depth }, (_, layer) => layer);
    // After the last stage nobody reads keys and values, so they are not fetched.
    const last = stage === this.#schedule.scales.length - 1;
    const kept = last ? [] : layers.flatMap((layer) => [`new_k_${layer}`, `new_v_${layer}`]);
    const output = await this.#parts.step.run(feeds, ["delta", ...kept]);
    const delta = output["delta"]!;
    if (last) return { delta, state };
    const chunk = {
      keys: layers.map((layer) => output[`new_k_${layer}`]!),
      values: layers.map((layer) => output[`new_v_${layer}`]!),
      rows: width,
    };
    return { delta, state: { ...state, past: state.past.append(chunk, width) } };
  }

  /**
   * What is added to the embedded input, [groups, 1, channels]: the level embedding, and at the first stage, whose input
   * is zero, also the start token, minus the bias that the graph adds to every input.
   */
  #offset({ sos }: Condition, stage: number, groups: number): Tensor {
    const { sidecar } = this.#parts;
    const channels = this.#parts.manifest.architecture.embedDim;
    const level = sidecar.lvl_embed.data.subarray(stage * channels, (stage + 1) * channels);
    const data = new Float32Array(groups * channels);
    for (let group = 0; group < groups; group++) {
      for (let channel = 0; channel < channels; channel++) {
        const start =
          stage === 0
            ? sos.data[group * channels + channel]! +
              sidecar.pos_start.data[channel]! -
              sidecar["word_embed.bias"].data[channel]!
            : 0;
        data[group * channels + channel] = start + level[channel]!;
      }
    }
    return { dims: [groups, 1, channels], data };
  }
}
