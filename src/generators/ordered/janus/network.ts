import { TtsVarError } from "../../../core/errors.ts";
import { rowOf, sizeOf, type Tensor } from "../../../core/tensor.ts";
import type { Feeds, HalfTensor, OrtSession } from "../../../inference/runtime/ort-session.ts";
import type { Tokenizer } from "../../../inference/runtime/tokenizer.ts";
import { Remembered } from "../../next-scale/remembered.ts";
import { gather, type Place } from "./cache.ts";
import type { GraphName } from "./files.ts";
import type { JanusModel } from "./model.ts";
import { type Branch, promptIds, withoutText } from "./prompt.ts";
import type { JanusSettings } from "./settings.ts";
import { branchesOf } from "./traits.ts";

/** Keys and values of recent prompts that are kept, in bytes. */
const REMEMBERED_BYTES = 256 * 2 ** 20;

/** One branch of a candidate after some tokens: its cache, what it has seen, and the logits of its next token. */
export interface BranchState {
  readonly place: Place;
  /** Of the prompt; image tokens are all seen. */
  readonly seen: boolean;
  readonly promptLength: number;
  readonly tokens: number;
  /** Logits of the next token [codes]. */
  readonly logits: Float32Array;
}

/** A candidate before its next token: conditional branch, unconditional one. Never changed, so copies share it. */
export type CandidateState = readonly [BranchState] | readonly [BranchState, BranchState];

export interface JanusParts {
  readonly model: JanusModel;
  readonly tokenizer: Tokenizer;
  readonly graphs: Readonly<Record<GraphName, OrtSession>>;
}

/**
 * Janus's five graphs, a token at a time. The language model always gets two rows or more: a product with a single row takes
 * another kernel, and its bits would then depend on the batch (decision record 0003).
 */
export class JanusNetwork {
  readonly #parts: JanusParts;
  /** Prompts as they stand before the first image token. */
  readonly #prompts = new Remembered<BranchState>(REMEMBERED_BYTES, ({ place }) =>
    Object.values(place.block.tensors).reduce((sum, { data }) => sum + data.byteLength, 0),
  );

  constructor(parts: JanusParts) {
    this.#parts = parts;
  }

  /** A prompt read, for one candidate; all candidates begin with it. */
  async begin(
    text: string,
    settings: Pick<JanusSettings, "guidance" | "unconditional">,
  ): Promise<CandidateState> {
    const { tokenizer, model } = this.#parts;
    const ids = promptIds(tokenizer, text);
    const longest = model.text.positions - model.side ** 2;
    if (ids.length > longest) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `the prompt has ${ids.length} tokens, but ${model.name} has room for ${longest} before a picture; shorten it`,
      );
    }
    const cond = await this.#read({ ids, seen: true });
    if (branchesOf(settings) === 1) return [cond];
    const pad = model.pad ?? tokenizer.padding;
    if (pad === null) {
      throw new TtsVarError("MODEL_INVALID", `${model.dir} names no padding token, which guidance needs`);
    }
    return [cond, await this.#read(withoutText(ids, pad, settings.unconditional))];
  }

  /**
   * The candidates after one more token each.
   *
   * @param atOnce candidates that are computed together; the result does not depend on it
   */
  async step(
    states: readonly CandidateState[],
    tokens: readonly number[],
    atOnce: number = states.length,
  ): Promise<CandidateState[]> {
    const next: CandidateState[] = [];
    for (let start = 0; start < states.length; start += atOnce) {
      const part = states.slice(start, start + atOnce);
      next.push(...(await this.#stepTogether(part, tokens.slice(start, start + atOnce))));
    }
    return next;
  }

  /** A picture of all tokens, [1, 3, height, width] in [-1, 1]. */
  async decode(tokens: Int32Array): Promise<Tensor> {
    const { image_decode: graph } = this.#parts.graphs;
    const { pixels, dir } = this.#parts.model;
    const output = await graph.run(
      { [graph.inputs[0]!]: idTensor([1, tokens.length], tokens) },
      graph.outputs,
    );
    const image = output[graph.outputs[0]!]!;
    if (image.dims.join() === [1, 3, pixels, pixels].join()) return image;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${dir}: image_decode gives [${image.dims.join(", ")}], but the configuration says pictures of ${pixels} pixels`,
    );
  }

  /** Reads a branch's prompt. The embeddings graph of the public folders takes one text at a time. */
  #read({ ids, seen }: Branch): Promise<BranchState> {
    return this.#prompts.get(JSON.stringify([ids, seen]), async () => {
      const { graphs, model } = this.#parts;
      const graph = graphs.prepare_inputs_embeds;
      const { pixels, side } = model;
      const feeds: Feeds = {
        input_ids: idTensor([1, ids.length], ids),
        // No images: what they would replace is nothing.
        pixel_values: { dims: [0, 0, 3, pixels, pixels], data: new Float32Array() },
        images_seq_mask: { dims: [1, ids.length], data: new Uint8Array(ids.length) },
        images_emb_mask: { dims: [1, 0, side * side], data: new Uint8Array() },
      };
      const embeds = (await graph.run(only(feeds, graph.inputs), graph.outputs.slice(0, 1)))[
        graph.outputs[0]!
      ]!;
      const { shared, headDim, layers } = model.text;
      const half = graphs.language_model.typeOf("past_key_values.0.key") === "float16";
      const empty = { dims: [2, shared, 0, headDim], data: half ? new Uint16Array() : new Float32Array() };
      const past = Object.fromEntries(
        Array.from({ length: layers }, (_, layer) =>
          ["key", "value"].map((kind) => [`past_key_values.${layer}.${kind}`, empty as Tensor | HalfTensor]),
        ).flat(),
      );
      // Twice the same, as all later passes have two rows or more.
      const row = { seen, promptLength: ids.length, tokens: 0 };
      const [state] = await this.#run([row, row], twice(embeds), past);
      return state!;
    });
  }

  async #stepTogether(
    states: readonly CandidateState[],
    tokens: readonly number[],
  ): Promise<CandidateState[]> {
    const graph = this.#parts.graphs.gen_img_embeds;
    // Conditional rows first, as everywhere; a single one is computed twice.
    const branches = states[0]!.length;
    const rows = Array.from({ length: branches }, (_, branch) =>
      states.map((state) => state[branch]!),
    ).flat();
    const wide = rows.length === 1 ? [rows[0]!, rows[0]!] : rows;
    const ids = tokens.length === 1 ? [tokens[0]!, tokens[0]!] : tokens;
    const feeds = { [graph.inputs[0]!]: idTensor([ids.length, 1], ids) };
    const embeds = (await graph.run(feeds, graph.outputs.slice(0, 1)))[graph.outputs[0]!]!;
    const width = sizeOf(embeds.dims.slice(1));
    const data = new Float32Array(wide.length * width);
    wide.forEach((_, row) => {
      data.set(rowOf(embeds, row % tokens.length), row * width);
    });
    const next = await this.#run(
      wide.map((row) => ({ ...row, tokens: row.tokens + 1 })),
      { dims: [wide.length, ...embeds.dims.slice(1)], data },
      gather(wide.map(({ place }) => place)),
    );
    return states.map((_, index) => {
      const own = Array.from({ length: branches }, (_, branch) => next[branch * states.length + index]!);
      return own as unknown as CandidateState;
    });
  }

  /** The language model and the head on new embeddings [rows, new, hidden]. */
  async #run(
    rows: readonly Pick<BranchState, "seen" | "promptLength" | "tokens">[],
    embeds: Tensor,
    past: Readonly<Record<string, Tensor | HalfTensor>>,
  ): Promise<BranchState[]> {
    const { language_model: graph, gen_head: head } = this.#parts.graphs;
    const [{ promptLength, tokens }] = rows as [BranchState];
    const fresh = embeds.dims[1]!;
    const length = promptLength + tokens;
    const mask = new BigInt64Array(rows.length * length).fill(1n);
    const positions = new BigInt64Array(rows.length * fresh);
    rows.forEach(({ seen }, row) => {
      if (!seen) mask.fill(0n, row * length, row * length + promptLength);
      for (let at = 0; at < fresh; at++) {
        const place = length - fresh + at;
        // transformers.js counts what is seen, and gives the rest position 1.
        const position = seen ? place : place < promptLength ? 1 : place - promptLength;
        positions[row * fresh + at] = BigInt(position);
      }
    });
    const feeds: Feeds = {
      inputs_embeds: embeds,
      attention_mask: { dims: [rows.length, length], data: mask },
      position_ids: { dims: [rows.length, fresh], data: positions },
      num_logits_to_keep: { dims: [], data: BigInt64Array.of(1n) },
      ...past,
    };
    const hidden = head.inputs[0]!;
    const presents = graph.outputs.filter((name) => name.startsWith("present."));
    const output = await graph.runRaw(only(feeds, graph.inputs), [hidden, ...presents]);
    const states = output[hidden]! as Tensor;
    const block = {
      tensors: Object.fromEntries(
        presents.map((name) => [name.replace("present", "past_key_values"), output[name]!]),
      ),
    };
    const logits = (await head.run({ [hidden]: lastOf(states) }, head.outputs.slice(0, 1)))[
      head.outputs[0]!
    ]!;
    return rows.map(({ seen, promptLength: prompt, tokens: count }, row) => ({
      place: { block, row },
      seen,
      promptLength: prompt,
      tokens: count,
      logits: rowOf(logits, row),
    }));
  }
}

/** [rows, tokens, width] to the last token of each, [rows, 1, width]. */
function lastOf({ dims, data }: Tensor): Tensor {
  const [rows, count, width] = dims as [number, number, number];
  if (count === 1) return { dims, data };
  const last = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const end = (row + 1) * count * width;
    last.set(data.subarray(end - width, end), row * width);
  }
  return { dims: [rows, 1, width], data: last };
}

function twice({ dims, data }: Tensor): Tensor {
  const both = new Float32Array(2 * data.length);
  both.set(data);
  both.set(data, data.length);
  return { dims: [2, ...dims.slice(1)], data: both };
}

function idTensor(dims: readonly number[], ids: Iterable<number>): Feeds[string] {
  return { dims, data: BigInt64Array.from(ids, BigInt) };
}

/** What a graph takes: exports differ in optional inputs. */
function only(feeds: Feeds, names: readonly string[]): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => names.includes(name)));
}
