import { TtsVarError } from "../../core/errors.ts";
import type { Picture, View } from "../../core/generator.ts";
import type { RngStream } from "../../core/rng.ts";
import type { Task } from "../../core/task.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import type { BatchModel, DrawnRow, Turn } from "../batches.ts";
import type { Codebook } from "../canvas/codebook.ts";
import { sideOf } from "../canvas/manifest.ts";
import type { CanvasParts } from "../canvas/open.ts";
import type { Conditioning, Prompt } from "../canvas/prompts.ts";
import { type DrawnCodes, drawCodes, renoise } from "./draw-codes.ts";
import { keepShare, timesOf } from "./schedule.ts";
import type { DiffusionSettings } from "./settings.ts";

/** A canvas on its way from noise to a picture. */
interface Canvas {
  readonly prompt: Prompt;
  /** Null before the first stage: noise, which is the candidate's own. */
  readonly codes: Int32Array | null;
  /** The likeliest clean canvas when it was drawn. */
  readonly guess: Int32Array | null;
  /** With a source: its codes, -1 where the canvas is drawn anew. */
  readonly known: Int32Array | null;
}

/** Candidates in one call of the graph: bounds the logits in memory. */
const AT_ONCE = 16;

/** Positions of a stream that one step may use: one a token to draw, two to put noise on it, two on what is known. */
const PER_TOKEN = 5;

/** VQ-DDM's reverse process: every stage draws the whole canvas again, a little cleaner. */
export class DiffusionModel implements BatchModel<Canvas> {
  readonly #parts: CanvasParts<Parameters<typeof sideOf>[0]>;
  readonly #codebook: Codebook;
  readonly #settings: DiffusionSettings;
  readonly #times: readonly number[];
  readonly #tokens: number;

  constructor(
    parts: CanvasParts<Parameters<typeof sideOf>[0]>,
    codebook: Codebook,
    settings: DiffusionSettings,
  ) {
    this.#parts = parts;
    this.#codebook = codebook;
    this.#settings = settings;
    this.#times = timesOf(settings.steps);
    this.#tokens = sideOf(parts.manifest) ** 2;
  }

  async begin(task: Task): Promise<Canvas> {
    const prompt = await this.#parts.prompts.of(task);
    const known = task.source ? await this.#known(task.source) : null;
    return { prompt, codes: null, guess: null, known };
  }

  async draw(turns: readonly Turn<Canvas>[], stage: number): Promise<DrawnRow<Canvas>[]> {
    const noisy = turns.map(({ row, stream }) => row.codes ?? this.#noise(stream));
    const given = turns.every(({ kept }) => kept !== undefined);
    if (given) return turns.map(({ row, kept }) => this.#kept(row, kept!.data as Int32Array));
    const drawn = await this.#step(turns, noisy, stage, 0);
    return drawn.map((each, at) => this.#told(turns[at]!.row, each));
  }

  /** Noise for a share of the steps so far, and these steps again. */
  async refine(turns: readonly Turn<Canvas>[], stage: number, share: number): Promise<DrawnRow<Canvas>[]> {
    const back = Math.max(1, Math.round(share * (stage + 1)));
    const first = stage + 1 - back;
    const kept = keepShare(this.#times[first]!) / keepShare(this.#times[stage + 1]!);
    let codes = turns.map(({ row, stream }) =>
      renoise(row.codes!, kept, this.#codebook.entries, stream, this.#at(0) + this.#tokens),
    );
    let drawn: DrawnCodes[] = [];
    for (let step = first; step <= stage; step++) {
      drawn = await this.#step(turns, codes, step, step - first);
      codes = drawn.map((each) => each.codes);
    }
    return drawn.map((each, at) => this.#told(turns[at]!.row, each));
  }

  async look(rows: readonly Canvas[], stages: number, view: View): Promise<Picture[]> {
    const ahead = view.look === "ahead" && stages < this.#settings.steps;
    const canvases = rows.map(({ codes, guess }) => this.#codebook.canvas((ahead ? guess : codes)!));
    const images = await this.#parts.space.pictures(canvases, view);
    return images.map((image) => ({ frames: [image], coverage: 1 }));
  }

  /** One step for all; the `round`-th use of the candidates' streams. */
  async #step(
    turns: readonly Turn<Canvas>[],
    noisy: readonly Int32Array[],
    stage: number,
    round: number,
  ): Promise<DrawnCodes[]> {
    const { guidance, temperature } = this.#settings;
    const [from, to] = [this.#times[stage]!, this.#times[stage + 1]!];
    const drawn: DrawnCodes[] = [];
    for (let start = 0; start < turns.length; start += AT_ONCE) {
      const part = noisy.slice(start, start + AT_ONCE);
      const { prompt } = turns[start]!.row;
      const text = await this.#logits(part, from, prompt.text);
      const none = guidance === 1 ? null : await this.#logits(part, from, prompt.none);
      part.forEach((codes, at) => {
        const { row, stream } = turns[start + at]!;
        const how = { from, to, guidance, temperature };
        const unguided = none && rowOf(none, at);
        const next = drawn.push(this.#drawn(rowOf(text, at), unguided, codes, how, stream, this.#at(round)));
        const known = row.known && this.#clamp(drawn[next - 1]!, row.known, to, stream, this.#at(round));
        if (known) drawn[next - 1] = known;
      });
    }
    return drawn;
  }

  #drawn(...all: Parameters<typeof drawCodes>): DrawnCodes {
    try {
      return drawCodes(...all);
    } catch (cause) {
      throw new TtsVarError(
        "MODEL_RUNTIME",
        `${this.#parts.folder.name} gave no usable logits: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  async #logits(codes: readonly Int32Array[], time: number, conditioning: Conditioning): Promise<Tensor> {
    const data = new BigInt64Array(codes.length * this.#tokens);
    codes.forEach((row, at) => {
      row.forEach((code, token) => {
        data[at * this.#tokens + token] = BigInt(code);
      });
    });
    const feeds = {
      codes: { dims: [codes.length, this.#tokens], data },
      time: { dims: [1], data: Float32Array.of(time) },
      ...conditioning,
    };
    return (await this.#parts.step.run(feeds, ["logits"]))["logits"]!;
  }

  /** What is known, as noisy as the rest (inpainting). */
  #clamp(drawn: DrawnCodes, known: Int32Array, time: number, stream: RngStream, at: number): DrawnCodes {
    const noisy = renoise(known, keepShare(time), this.#codebook.entries, stream, at + 3 * this.#tokens);
    const over = (codes: Int32Array, by: Int32Array): Int32Array =>
      codes.map((code, token) => (known[token]! < 0 ? code : by[token]!));
    return { ...drawn, codes: over(drawn.codes, noisy), guess: over(drawn.guess, known) };
  }

  #kept(row: Canvas, codes: Int32Array): DrawnRow<Canvas> {
    const told = { codes, guess: codes, logProb: 0, entropy: 0, confidence: 1 };
    return this.#told(row, told);
  }

  #told(row: Canvas, { codes, guess, logProb, entropy, confidence }: DrawnCodes): DrawnRow<Canvas> {
    return {
      row: { ...row, codes, guess },
      tokens: { count: this.#tokens, data: codes },
      values: { logProb, entropy, confidence },
    };
  }

  /** The candidate's own noise: every code as likely as any other. */
  #noise(stream: RngStream): Int32Array {
    const { entries } = this.#codebook;
    return Int32Array.from({ length: this.#tokens }, (_, token) =>
      Math.floor(entries * stream.uniform(this.#at(0) + this.#tokens + token)),
    );
  }

  #at(round: number): number {
    return round * PER_TOKEN * this.#tokens;
  }

  /** Codes of a source outside of the region that is drawn anew, and -1 inside. */
  async #known(source: NonNullable<Task["source"]>): Promise<Int32Array> {
    const side = sideOf(this.#parts.manifest);
    const [left, top, right, bottom] = this.#settings.region;
    const codes = this.#codebook.codes(await this.#parts.space.canvas(source));
    return codes.map((code, token) => {
      const x = ((token % side) + 0.5) / side;
      const y = (Math.floor(token / side) + 0.5) / side;
      return x > left && x < right && y > top && y < bottom ? -1 : code;
    });
  }
}
