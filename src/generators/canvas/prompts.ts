import type { Task } from "../../core/task.ts";
import { sizeOf, type Tensor } from "../../core/tensor.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import type { Tokenizer } from "../../inference/runtime/tokenizer.ts";
import { Remembered } from "../next-scale/remembered.ts";

/** The inputs of a step graph that depend on the prompt alone, by name, for one guidance group. */
export type Conditioning = Readonly<Record<string, Tensor>>;

/** A prompt as the network reads it: the text, and what guidance leads away from. */
export interface Prompt {
  readonly text: Conditioning;
  readonly none: Conditioning;
}

/** Conditioning of earlier prompts that is kept, in bytes. */
const REMEMBERED_BYTES = 64 * 2 ** 20;

/** Runs the prompt graph: token ids to conditioning of two groups, the text and the learned stand-in for no text. */
export class Prompts {
  readonly #graph: OrtSession;
  readonly #tokenizer: Tokenizer;
  readonly #known = new Remembered<Prompt>(REMEMBERED_BYTES, bytesOf);

  constructor(graph: OrtSession, tokenizer: Tokenizer) {
    this.#graph = graph;
    this.#tokenizer = tokenizer;
  }

  async of({ prompt, negativePrompt }: Task): Promise<Prompt> {
    const known = await this.#read(prompt);
    if (negativePrompt === undefined) return known;
    return { text: known.text, none: (await this.#read(negativePrompt)).text };
  }

  #read(text: string): Promise<Prompt> {
    return this.#known.get(text, async () => {
      const ids = BigInt64Array.from(this.#tokenizer.encode(text), BigInt);
      const both = await this.#graph.run({ input_ids: { dims: [1, ids.length], data: ids } });
      return { text: groupOf(both, 0), none: groupOf(both, 1) };
    });
  }
}

/** One group of tensors whose first axis is the group. */
function groupOf(tensors: Readonly<Record<string, Tensor>>, group: number): Conditioning {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dims, data }]) => {
      const own = [1, ...dims.slice(1)];
      const length = sizeOf(own);
      return [name, { dims: own, data: data.subarray(group * length, (group + 1) * length) }];
    }),
  );
}

function bytesOf({ text, none }: Prompt): number {
  return [text, none].flatMap(Object.values).reduce((sum, { data }: Tensor) => sum + 4 * data.length, 0);
}
