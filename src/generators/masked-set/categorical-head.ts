import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { drawToken } from "../ordered/nar/draw-token.ts";
import type { DrawnValues, TokenHead, Wanted } from "./head.ts";
import { levelOf, normalLevels } from "./levels.ts";

/** How a categorical head takes tokens apart. */
export interface Channels {
  /** Channels in the order of drawing. */
  readonly order: readonly number[];
  /** Levels of a channel. */
  readonly levels: number;
}

/** Tokens in one call, and at least so many: a product with a single row takes another path (decision 0003). */
const AT_ONCE = 512;
const AT_LEAST = 4;

/**
 * A token channel by channel, each one of the levels of a normal variable, given the channels before it (TokenBridge):
 * log-probabilities are exact. Guidance is on the decoder's vectors.
 */
export class CategoricalHead implements TokenHead {
  readonly knows = true;
  readonly #graph: OrtSession;
  readonly #channels: Channels;
  readonly #levels: readonly number[];
  readonly #temperature: number;

  constructor(graph: OrtSession, channels: Channels, { temperature }: { readonly temperature: number }) {
    this.#graph = graph;
    this.#channels = channels;
    this.#levels = normalLevels(channels.levels);
    this.#temperature = temperature;
  }

  snap(value: number): number {
    return this.#levels[levelOf(this.#levels, value)]!;
  }

  async draw(wanted: readonly Wanted[]): Promise<DrawnValues[]> {
    const vectors = wanted.map(({ text, none, guidance }) =>
      none ? text.map((value, at) => none[at]! + guidance * (value - none[at]!)) : text,
    );
    const sum = wanted.map(() => 0);
    const how = { guidance: 1, temperature: this.#temperature, topK: 0, topP: 1, minP: 0 };
    const values = await this.#channelwise(vectors, (logits, at, channel) => {
      if (this.#temperature === 0) return likeliest(logits);
      const { token, logProb } = drawToken(logits, null, how, wanted[at]!.uniform(channel));
      sum[at]! += logProb;
      return token;
    });
    return values.map((token, at) => ({ values: token, logProb: sum[at]! }));
  }

  guess(vectors: readonly Float32Array[]): Promise<Float64Array[]> {
    return this.#channelwise(vectors, likeliest);
  }

  /** One channel after the other, for all tokens at once. */
  async #channelwise(
    vectors: readonly Float32Array[],
    choose: (logits: Float32Array, at: number, channel: number) => number,
  ): Promise<Float64Array[]> {
    const { order, levels } = this.#channels;
    const values = vectors.map(() => new Float64Array(order.length));
    // What the graph reads: a start, then the drawn levels, numbered through all channels.
    const read = vectors.map(() => [order.length * levels]);
    for (const [turn, channel] of order.entries()) {
      for (let start = 0; start < vectors.length; start += AT_ONCE) {
        const end = Math.min(vectors.length, start + AT_ONCE);
        const logits = await this.#logits(vectors.slice(start, end), read.slice(start, end));
        for (let at = start; at < end; at++) {
          const own = logits.subarray((at - start) * levels, (at - start + 1) * levels);
          const level = choose(own, at, channel);
          values[at]![channel] = this.#levels[level]!;
          read[at]!.push(turn * levels + level);
        }
      }
    }
    return values;
  }

  async #logits(
    vectors: readonly Float32Array[],
    read: readonly (readonly number[])[],
  ): Promise<Float32Array> {
    const rows = Math.max(AT_LEAST, vectors.length);
    const width = vectors[0]!.length;
    const length = read[0]!.length;
    const vector = new Float32Array(rows * width);
    const levels = new BigInt64Array(rows * length);
    vectors.forEach((values, at) => {
      vector.set(values, at * width);
      read[at]!.forEach((level, turn) => {
        levels[at * length + turn] = BigInt(level);
      });
    });
    const { logits } = await this.#graph.run(
      { levels: { dims: [rows, length], data: levels }, vector: { dims: [rows, width], data: vector } },
      ["logits"],
    );
    return logits!.data;
  }
}

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let at = 1; at < logits.length; at++) if (logits[at]! > logits[best]!) best = at;
  return best;
}
