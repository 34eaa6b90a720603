import { TtsVarError } from "../../../core/errors.ts";
import type { Quality } from "../../../core/generator.ts";
import type { Task } from "../../../core/task.ts";
import { sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { OrtSession } from "../../../inference/runtime/ort-session.ts";
import {
  type Condition,
  createCondition,
  leadingGroups,
  stageOffset,
  type TextGraphs,
} from "../infinity/condition.ts";
import type { InfinityManifest, Schedule } from "../infinity/manifest.ts";
import { REMEMBERED_BYTES } from "../infinity/memory.ts";
import type { Sidecar } from "../infinity/sidecar.ts";
import type { Network, Pass, PassOutput, Revision } from "../network.ts";
import { Remembered } from "../remembered.ts";
import { type RopeTable, ropeTable } from "../rope.ts";

/** The open graphs and small weights of a model folder. */
export interface HmarParts extends TextGraphs {
  readonly manifest: InfinityManifest;
  readonly sidecar: Sidecar;
  readonly step: OrtSession;
  readonly mask: OrtSession;
  readonly decoder: OrtSession;
  /** Absent: the model has no draft decoder. */
  readonly draftDecoder: OrtSession | null;
}

/** By rising stage, the first from stage 0. There is no cache: candidates carry nothing but their codes. */
export interface HmarState {
  readonly conditions: readonly { readonly stage: number; readonly condition: Condition }[];
}

/** HMAR (Kumbong et al. 2025): every scale sees the cumulative code and itself only; masked passes see its own tokens, too. */
export class HmarNetwork implements Network<HmarState> {
  readonly #parts: HmarParts;
  readonly #schedule: Schedule;
  readonly #rope: readonly RopeTable[];
  readonly #rowsAtOnce: readonly number[];
  readonly #conditions = new Remembered<Condition>(REMEMBERED_BYTES, ({ sos, fixed }) =>
    [sos, ...Object.values(fixed)].reduce((sum, { data }) => sum + data.byteLength, 0),
  );

  constructor(parts: HmarParts, schedule: Schedule, rowsAtOnce: readonly number[] = []) {
    const { embedDim, heads } = parts.manifest.architecture;
    this.#parts = parts;
    this.#schedule = schedule;
    this.#rowsAtOnce = rowsAtOnce;
    this.#rope = schedule.scales.map((_, scale) => ropeTable(schedule, scale, embedDim / heads));
  }

  async begin(task: Task): Promise<HmarState> {
    const { prompt, negativePrompt, promptAt = [] } = task;
    const { manifest, sidecar } = this.#parts;
    const conditions = [];
    for (const from of [{ stage: 0, prompt }, ...promptAt]) {
      const key = JSON.stringify([from.prompt, negativePrompt ?? null]);
      const condition = await this.#conditions.get(key, () =>
        createCondition(this.#parts, manifest, sidecar, { ...task, prompt: from.prompt }),
      );
      conditions.push({ stage: from.stage, condition });
    }
    return { conditions };
  }

  async run(state: HmarState, { stage, width, z, guided }: Pass): Promise<PassOutput<HmarState>> {
    const groups = guided ? 2 : 1;
    // Before the first draw all candidates are one.
    const rows = stage === 0 ? 1 : width;
    const input = z ?? this.#zeros(stage, rows);
    const delta = await this.#pass(this.#parts.step, state, stage, groups, rows, { z: input });
    return { delta, state };
  }

  revise(state: HmarState, { stage, width, z, values, masked }: Revision): Promise<Tensor> {
    const input = z ?? this.#zeros(stage, width);
    return this.#pass(this.#parts.mask, state, stage, 1, width, { z: input, values, masked });
  }

  select(state: HmarState): HmarState {
    return state;
  }

  /** Nothing is carried from stage to stage, so there is nothing to cut. */
  rewind(state: HmarState): HmarState {
    return state;
  }

  async decode(latents: Tensor, quality: Quality): Promise<Tensor> {
    const { decoder, draftDecoder } = this.#parts;
    const graph = quality === "draft" ? draftDecoder : decoder;
    if (!graph) throw new TtsVarError("CONFIG_INVALID", "this model has no draft decoder");
    return (await graph.run({ latent: latents }, ["image"]))["image"]!;
  }

  #zeros(stage: number, rows: number): Tensor {
    const [h, w] = this.#schedule.scales[stage]!;
    const dims = [rows, h * w, this.#parts.manifest.architecture.tokenChannels];
    return { dims, data: new Float32Array(sizeOf(dims)) };
  }

  /** One graph for a stage, in as many blocks of rows as memory asks for; single tokens one by one (decision 0003). */
  async #pass(
    graph: OrtSession,
    { conditions }: HmarState,
    stage: number,
    groups: number,
    width: number,
    inputs: Readonly<Record<string, Tensor>>,
  ): Promise<Tensor> {
    const { condition } = conditions.findLast((from) => from.stage <= stage)!;
    const fixed: Record<string, Tensor> = {
      x_add: stageOffset(condition, this.#parts.sidecar, stage, groups),
      rope_cos: this.#rope[stage]!.cos,
      rope_sin: this.#rope[stage]!.sin,
    };
    for (const [name, tensor] of Object.entries(condition.fixed)) {
      if (graph.inputs.includes(name)) fixed[name] = leadingGroups(tensor, groups);
    }
    const [h, w] = this.#schedule.scales[stage]!;
    const block = h * w === 1 ? 1 : Math.min(width, this.#rowsAtOnce[stage] ?? width);
    const { tokenChannels } = this.#parts.manifest.architecture;
    const dims = [groups, width, h * w, tokenChannels];
    const data = new Float32Array(sizeOf(dims));
    const size = h * w * tokenChannels;
    for (let start = 0; start < width; start += block) {
      const rows = Math.min(block, width - start);
      const part = Object.entries(inputs).map(
        ([name, tensor]) => [name, rowsOf(tensor, start, rows)] as const,
      );
      const delta = (await graph.run({ ...fixed, ...Object.fromEntries(part) }, ["delta"]))["delta"]!;
      for (let group = 0; group < groups; group++) {
        const own = delta.data.subarray(group * rows * size, (group + 1) * rows * size);
        data.set(own, (group * width + start) * size);
      }
    }
    return { dims, data };
  }
}

function rowsOf({ dims, data }: Tensor, start: number, count: number): Tensor {
  const size = data.length / dims[0]!;
  return { dims: [count, ...dims.slice(1)], data: data.subarray(start * size, (start + count) * size) };
}
