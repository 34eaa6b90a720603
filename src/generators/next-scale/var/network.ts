import type { Task } from "../../../core/task.ts";
import { sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { OrtSession } from "../../../inference/runtime/ort-session.ts";
import { KvCache, type KvChunk } from "../kv-cache.ts";
import type { Network, Pass, PassOutput } from "../network.ts";
import { Remembered } from "../remembered.ts";
import { labelOf } from "./label.ts";
import { lengthsOf, type VarManifest } from "./manifest.ts";
import type { VarSidecar } from "./sidecar.ts";

/** Conditions of earlier classes that are kept, in bytes. */
const REMEMBERED_BYTES = 64 * 2 ** 20;

/** The open graphs and small weights of a model folder. */
export interface VarParts {
  readonly manifest: VarManifest;
  readonly sidecar: VarSidecar;
  readonly condition: OrtSession;
  readonly step: OrtSession;
  readonly decoder: OrtSession;
}

/** What depends on the class alone, conditional first: sos [2, C], gss [2, depth, 6, C], head_ss [2, 2, C]. */
type Condition = Readonly<Record<"sos" | "gss" | "head_ss", Tensor>>;

export interface VarState {
  readonly condition: Condition;
  readonly past: KvCache;
}

/** VAR's transformer as three ONNX graphs: what depends on the class, one graph for all scales, the decoder. */
export class VarNetwork implements Network<VarState> {
  readonly #parts: VarParts;
  readonly #rowsAtOnce: readonly number[];
  readonly #lengths: readonly number[];
  readonly #classes = new Remembered<Condition>(REMEMBERED_BYTES, (condition) =>
    Object.values(condition).reduce((sum, { data }) => sum + data.byteLength, 0),
  );

  /** @param rowsAtOnce candidates that a stage computes at once, by stage; default: all */
  constructor(parts: VarParts, rowsAtOnce: readonly number[] = []) {
    this.#parts = parts;
    this.#rowsAtOnce = rowsAtOnce;
    this.#lengths = lengthsOf(parts.manifest);
  }

  async begin(task: Task): Promise<VarState> {
    const { manifest, condition } = this.#parts;
    const { classes } = manifest.architecture;
    const label = labelOf(task, classes, manifest.labels);
    const known = await this.#classes.get(String(label), async () => {
      const labels = { dims: [2], data: BigInt64Array.of(BigInt(label), BigInt(classes)) };
      return (await condition.run({ labels }, ["sos", "gss", "head_ss"])) as Condition;
    });
    return { condition: known, past: new KvCache() };
  }

  /** A stage, in as many blocks of rows as memory asks for: a row's tokens do not depend on its block (decision 0003). */
  async run(state: VarState, { stage, width, z, guided }: Pass): Promise<PassOutput<VarState>> {
    const groups = guided ? 2 : 1;
    const { codeChannels } = this.#parts.manifest.architecture;
    const stride = this.#lengths[stage]! * codeChannels;
    // Nothing differs between candidates before the first draw.
    const rows = z ? width : 1;
    const block = Math.min(rows, this.#rowsAtOnce[stage] ?? rows);
    const logits: Tensor[] = [];
    const chunks: KvChunk[] = [];
    for (let start = 0; start < rows; start += block) {
      const count = Math.min(block, rows - start);
      const data = z?.data.subarray(start * stride, (start + count) * stride) ?? new Float32Array(stride);
      const input = { dims: [count, this.#lengths[stage]!, codeChannels], data };
      const past = state.past.select(Array.from({ length: count }, (_, row) => start + row));
      const output = await this.#block({ ...state, past }, stage, input, groups);
      logits.push(output.logits);
      if (output.chunk) chunks.push(output.chunk);
    }
    const past = chunks.length > 0 ? state.past.append(chunks, width) : state.past;
    return { delta: joinRows(logits), state: { ...state, past } };
  }

  select(state: VarState, parents: readonly number[]): VarState {
    return { ...state, past: state.past.select(parents) };
  }

  async decode(latents: Tensor): Promise<Tensor> {
    return (await this.#parts.decoder.run({ latent: latents }, ["image"]))["image"]!;
  }

  async #block(
    { condition, past }: VarState,
    stage: number,
    z: Tensor,
    groups: number,
  ): Promise<{ logits: Tensor; chunk: KvChunk | null }> {
    const { depth, embedDim, heads } = this.#parts.manifest.architecture;
    const rows = z.dims[0]!;
    const shape = { groups, width: rows, heads, headDim: embedDim / heads };
    const feeds: Record<string, Tensor> = {
      z,
      x_add: this.#offset(condition.sos, stage, groups),
      gss: leading(condition.gss, groups),
      head_ss: leading(condition.head_ss, groups),
    };
    const layers = Array.from({ length: depth }, (_, layer) => layer);
    for (const layer of layers) {
      feeds[`past_k_${layer}`] = past.assemble("keys", layer, shape);
      feeds[`past_v_${layer}`] = past.assemble("values", layer, shape);
    }
    // After the last stage nobody reads keys and values, so they are not fetched.
    const last = stage === this.#lengths.length - 1;
    const kept = last ? [] : layers.flatMap((layer) => [`new_k_${layer}`, `new_v_${layer}`]);
    const output = await this.#parts.step.run(feeds, ["logits", ...kept]);
    if (last) return { logits: output["logits"]!, chunk: null };
    const keys = layers.map((layer) => output[`new_k_${layer}`]!);
    const values = layers.map((layer) => output[`new_v_${layer}`]!);
    return { logits: output["logits"]!, chunk: { keys, values, rows } };
  }

  /**
   * What is added to the embedded input, [groups, tokens, channels]: positions, and at the first stage, whose input is
   * zero, also the class, minus the bias that the graph adds to every input.
   */
  #offset(sos: Tensor, stage: number, groups: number): Tensor {
    const { positions, pos_start, "word_embed.bias": bias } = this.#parts.sidecar;
    const channels = this.#parts.manifest.architecture.embedDim;
    const tokens = this.#lengths[stage]!;
    const first = this.#lengths.slice(0, stage).reduce((sum, length) => sum + length, 0);
    const own = positions.data.subarray(first * channels, (first + tokens) * channels);
    const data = new Float32Array(groups * tokens * channels);
    for (let group = 0; group < groups; group++) {
      data.set(own, group * tokens * channels);
      if (stage > 0) continue;
      for (let channel = 0; channel < channels; channel++) {
        const at = group * channels + channel;
        data[at]! += sos.data[at]! + pos_start.data[channel]! - bias.data[channel]!;
      }
    }
    return { dims: [groups, tokens, channels], data };
  }
}

/** The leading groups of a group-major tensor, as a view. */
function leading(tensor: Tensor, groups: number): Tensor {
  const dims = [groups, ...tensor.dims.slice(1)];
  return { dims, data: tensor.data.subarray(0, sizeOf(dims)) };
}

/** Blocks of rows, each [groups, rows, ...], as one tensor [groups, all rows, ...]. */
function joinRows(blocks: readonly Tensor[]): Tensor {
  const [first, ...others] = blocks;
  if (others.length === 0) return first!;
  const [groups, , ...rest] = first!.dims as [number, number, ...number[]];
  const rows = blocks.reduce((sum, { dims }) => sum + dims[1]!, 0);
  const data = new Float32Array(groups * rows * sizeOf(rest));
  let at = 0;
  for (let group = 0; group < groups; group++) {
    for (const block of blocks) {
      const size = block.data.length / groups;
      data.set(block.data.subarray(group * size, (group + 1) * size), at);
      at += size;
    }
  }
  return { dims: [groups, rows, ...rest], data };
}
