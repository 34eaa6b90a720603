import { TtsVarError } from "../../../core/errors.ts";
import type { Task } from "../../../core/task.ts";
import { sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { OrtSession } from "../../../inference/runtime/ort-session.ts";
import type { Tokenizer } from "../../../inference/runtime/tokenizer.ts";
import type { InfinityManifest } from "./manifest.ts";
import type { Sidecar } from "./sidecar.ts";

/** Additive attention bias that closes padded text positions; the exponential of it is 0 in float32. */
const CLOSED = -1e4;

/** Everything of the step graph's input that depends on the prompt alone, for both groups (conditional first). */
export interface Condition {
  readonly sos: Tensor;
  /** Inputs of the step graph by name: gss, head_ss, text_bias, ca_k_*, ca_v_*. */
  readonly fixed: Readonly<Record<string, Tensor>>;
}

export interface TextGraphs {
  readonly textEncoder: OrtSession;
  readonly condition: OrtSession;
  readonly tokenizer: Tokenizer;
}

/**
 * Runs text encoder and conditioning for a prompt. The unconditional group is the learned stand-in for a text of the same
 * length, or the negative prompt; if that has another length, both are padded and the padding is closed by `text_bias`.
 */
export async function createCondition(
  graphs: TextGraphs,
  manifest: InfinityManifest,
  sidecar: Sidecar,
  task: Pick<Task, "prompt" | "negativePrompt">,
): Promise<Condition> {
  const channels = manifest.architecture.textChannels;
  const positive = await encode(graphs, task.prompt);
  const negative =
    task.negativePrompt === undefined
      ? sidecar.cfg_uncond.data.subarray(0, positive.length)
      : await encode(graphs, task.negativePrompt);
  const groups = [positive, negative];
  const length = Math.max(positive.length, negative.length) / channels;
  const states = new Float32Array(2 * length * channels);
  const bias = new Float32Array(2 * length);
  groups.forEach((text, group) => {
    states.set(text, group * length * channels);
    bias.fill(CLOSED, group * length + text.length / channels, (group + 1) * length);
  });
  const textBias: Tensor = { dims: [2, 1, 1, length], data: bias };
  const { sos, ...rest } = await graphs.condition.run({
    text_states: { dims: [2, length, channels], data: states },
    text_bias: textBias,
  });
  return { sos: sos!, fixed: { ...rest, text_bias: textBias } };
}

async function encode({ tokenizer, textEncoder }: TextGraphs, text: string): Promise<Float32Array> {
  const ids = tokenizer.encode(text);
  if (ids.length === 0)
    throw new TtsVarError("MODEL_INVALID", "the tokenizer gave no tokens, not even an end token");
  const input = { dims: [1, ids.length], data: BigInt64Array.from(ids, BigInt) };
  const { text_states: states } = await textEncoder.run({ input_ids: input }, ["text_states"]);
  return states!.data;
}

/** The leading groups of a group-major tensor, as a view. */
export function leadingGroups(tensor: Tensor, groups: number): Tensor {
  const dims = [groups, ...tensor.dims.slice(1)];
  return { dims, data: tensor.data.subarray(0, sizeOf(dims)) };
}

/**
 * What is added to the embedded input of a stage, [groups, 1, channels]: the level embedding, and at the first stage, whose
 * input is zero, also the start token, minus the bias that the graph adds to every input.
 */
export function stageOffset({ sos }: Condition, sidecar: Sidecar, stage: number, groups: number): Tensor {
  const channels = sidecar.lvl_embed.dims[1]!;
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
