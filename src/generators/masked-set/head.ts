import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { denoise, headTimes } from "./diffusion.ts";
import type { MaskedSettings } from "./settings.ts";

/** What was drawn for a token. */
export interface DrawnValues {
  readonly values: ArrayLike<number>;
  /** Nats, where the head knows it. */
  readonly logProb?: number;
}

/** The small net that turns a decoder's vector into a token. */
export interface TokenHead {
  /** Whether it tells log-probabilities. */
  readonly knows: boolean;
  draw(wanted: readonly Wanted[]): Promise<DrawnValues[]>;
  /** The nearest value that it can draw. */
  snap(value: number): number;
  /** The likeliest values, without randomness and guidance. */
  guess(vectors: readonly Float32Array[]): Promise<ArrayLike<number>[]>;
}

/** A token that is to be drawn. */
export interface Wanted {
  /** The decoder's vectors of it. */
  readonly text: Float32Array;
  readonly none: Float32Array | null;
  readonly guidance: number;
  /** Standard normal values by step (0: where the diffusion starts) and value. */
  readonly normal: (step: number, value: number) => number;
  /** A number in [0, 1) by value. */
  readonly uniform: (value: number) => number;
}

/** Steps of a guess, which needs no detail. */
export const GUESS_STEPS = 8;
/** Tokens in one call, and at least so many: a product with a single row takes another path (decision 0003). */
const AT_ONCE = 512;
const AT_LEAST = 4;

/** A diffusion of each token by itself, given the decoder's vector (MAR). */
export class DiffusionHead implements TokenHead {
  readonly knows = false;
  readonly #graph: OrtSession;
  readonly #values: number;
  readonly #settings: Pick<MaskedSettings, "headSteps" | "temperature">;

  constructor(
    graph: OrtSession,
    values: number,
    settings: Pick<MaskedSettings, "headSteps" | "temperature">,
  ) {
    this.#graph = graph;
    this.#values = values;
    this.#settings = settings;
  }

  snap(value: number): number {
    return value;
  }

  async draw(wanted: readonly Wanted[]): Promise<DrawnValues[]> {
    const { headSteps, temperature } = this.#settings;
    const drawn = wanted.map(({ normal }) =>
      Float64Array.from({ length: this.#values }, (_, value) => normal(0, value)),
    );
    const times = headTimes(headSteps);
    for (let step = 0; step < headSteps; step++) {
      const [from, to] = [times[step]!, times[step + 1]!];
      const text = await this.#noise(
        drawn,
        wanted.map((token) => token.text),
        from,
      );
      const guided = wanted.flatMap(({ none }, at) => (none ? [{ none, at }] : []));
      const plain = await this.#noise(
        guided.map(({ at }) => drawn[at]!),
        guided.map(({ none }) => none),
        from,
      );
      guided.forEach(({ at }, index) => {
        const { guidance } = wanted[at]!;
        const without = plain[index]!;
        text[at] = text[at]!.map(
          (value, channel) => without[channel]! + guidance * (value - without[channel]!),
        );
      });
      wanted.forEach(({ normal }, at) => {
        denoise(drawn[at]!, text[at]!, from, to, (value) => temperature * normal(step + 1, value));
      });
    }
    return drawn.map((values) => ({ values }));
  }

  async guess(vectors: readonly Float32Array[]): Promise<Float64Array[]> {
    const drawn = vectors.map(() => new Float64Array(this.#values));
    const times = headTimes(GUESS_STEPS);
    for (let step = 0; step < GUESS_STEPS; step++) {
      const noise = await this.#noise(drawn, vectors, times[step]!);
      drawn.forEach((x, at) => {
        denoise(x, noise[at]!, times[step]!, times[step + 1]!, null);
      });
    }
    return drawn;
  }

  async #noise(
    x: readonly Float64Array[],
    vectors: readonly Float32Array[],
    time: number,
  ): Promise<Float64Array[]> {
    const found: Float64Array[] = [];
    for (let start = 0; start < x.length; start += AT_ONCE) {
      const part = x.slice(start, start + AT_ONCE);
      const rows = Math.max(AT_LEAST, part.length);
      const width = vectors[start]!.length;
      const noisy = new Float32Array(rows * this.#values);
      const vector = new Float32Array(rows * width);
      part.forEach((row, at) => {
        noisy.set(row, at * this.#values);
        vector.set(vectors[start + at]!, at * width);
      });
      const { noise } = await this.#graph.run(
        {
          x: { dims: [rows, this.#values], data: noisy },
          time: { dims: [1], data: Float32Array.of(time) },
          vector: { dims: [rows, width], data: vector },
        },
        ["noise"],
      );
      part.forEach((_, at) => {
        found.push(Float64Array.from(noise!.data.subarray(at * this.#values, (at + 1) * this.#values)));
      });
    }
    return found;
  }
}
