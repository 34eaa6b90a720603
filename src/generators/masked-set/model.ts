import type { Look, Picture, View } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { RngStream } from "../../core/rng.ts";
import type { Task } from "../../core/task.ts";
import { rowOf } from "../../core/tensor.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { Feeds } from "../../inference/runtime/ort-session.ts";
import type { BatchModel, DrawnRow, Turn } from "../batches.ts";
import { type CanvasManifest, sideOf } from "../canvas/manifest.ts";
import type { CanvasParts } from "../canvas/open.ts";
import type { Conditioning } from "../canvas/prompts.ts";
import { type Canvas, emptyCanvas, knownShare, packTokens, transposed } from "./canvas.ts";
import type { DrawnValues, TokenHead, Wanted } from "./head.ts";
import { chooseNext, revealsOf } from "./reveals.ts";
import { guidanceAt, type MaskedSettings } from "./settings.ts";
import { withSource } from "./source.ts";

/** A canvas' form, and what the network reads besides. */
export interface Level {
  readonly side: number;
  /** Sets of tokens that are revealed. */
  readonly stages: number;
  /** Inputs of the step graph besides tokens, what is known, and the prompt; for the candidates of one call. */
  readonly inputs?: (rows: readonly Canvas[]) => Feeds;
}

/** Vectors of a pass: with the text, and without where it is guided. */
interface Pass {
  readonly text: Float32Array;
  readonly none: Float32Array | null;
}

/** Candidates in one call of the graph. */
const AT_ONCE = 16;

/**
 * MAR: every stage reads what is known and reveals a set of masked tokens, each by a small diffusion of its own. A token is
 * told as its values and, last, where it lies: (position + 1/2) / tokens.
 */
export class MaskedSetModel implements BatchModel<Canvas> {
  readonly #parts: CanvasParts<CanvasManifest>;
  readonly #settings: MaskedSettings;
  readonly #head: TokenHead;
  readonly #level: Level;
  readonly #reveals: readonly number[];
  readonly #side: number;
  readonly #count: number;
  readonly #values: number;

  /** @param level default: the model's canvas, all of whose stages reveal it */
  constructor(
    parts: CanvasParts<CanvasManifest>,
    head: TokenHead,
    settings: MaskedSettings,
    level: Level = { side: sideOf(parts.manifest), stages: settings.stages },
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#level = level;
    this.#side = level.side;
    this.#count = this.#side ** 2;
    this.#values = parts.manifest.tokenChannels;
    this.#head = head;
    this.#reveals = revealsOf(this.#count, level.stages);
  }

  async begin(task: Task): Promise<Canvas> {
    const { negativePrompt } = this.#settings;
    const led = negativePrompt === undefined ? task : { negativePrompt, ...task };
    const prompt = await withSource(this.#parts, await this.#parts.prompts.of(led), task);
    return emptyCanvas(prompt, this.#count, this.#values);
  }

  async draw(turns: readonly Turn<Canvas>[], stage: number): Promise<DrawnRow<Canvas>[]> {
    if (turns[0]?.kept) return turns.map(({ row, kept }) => this.#taken(row, kept!.data as Float32Array));
    const count = this.#reveals[stage]!;
    const passes = await this.#passes(turns.map(({ row }) => row));
    const wanted = turns.map(({ row, stream }, at) => {
      const { text: vectors } = passes[at]!;
      const { order } = this.#settings;
      return chooseNext({ order, known: row.known, side: this.#side, vectors }, count, stream);
    });
    return this.#reveal(turns, passes, wanted);
  }

  /** Masks a share of the latest set again and reveals it anew, with all others known (remasking). */
  async refine(turns: readonly Turn<Canvas>[], _stage: number, share: number): Promise<DrawnRow<Canvas>[]> {
    const wanted = turns.map(({ row, stream }) => {
      const ranked = row.latest.toSorted((a, b) => stream.uniform(a) - stream.uniform(b));
      return ranked.slice(0, Math.ceil(share * ranked.length)).sort((a, b) => a - b);
    });
    const masked = turns.map(({ row, stream, kept }, at) => ({
      row: this.#without(row, wanted[at]!),
      stream,
      kept,
    }));
    const passes = await this.#passes(masked.map(({ row }) => row));
    const drawn = await this.#reveal(masked, passes, wanted);
    return drawn.map(({ row, values }, at) => ({
      ...this.#told({ ...row, latest: turns[at]!.row.latest }),
      ...(values ? { values } : {}),
    }));
  }

  async look(rows: readonly Canvas[], _stages: number, view: View): Promise<Picture[]> {
    const shown = await this.shown(rows, view.look);
    const images = await this.#parts.space.pictures(
      shown.map((tokens) => transposed(tokens, this.#values)),
      view,
    );
    return images.map((image, at) => ({
      frames: [image],
      coverage: view.look === "ahead" ? 1 : knownShare(rows[at]!),
    }));
  }

  /** What is to be seen of canvases, [tokens, values] each. */
  async shown(rows: readonly Canvas[], look: Look): Promise<readonly Float32Array[]> {
    return look === "ahead" ? this.#guessed(rows) : rows.map(({ tokens }) => tokens);
  }

  /** Tokens of an image by stage, in reading order. */
  async encode(image: RgbImage): Promise<Tokens[]> {
    const canvas = await this.#parts.space.canvas(image);
    return this.split(transposed(canvas, this.#count));
  }

  /** All tokens, [tokens, values], by stage. */
  split(all: Float32Array): Tokens[] {
    const tokens = all.map((value) => this.#head.snap(value));
    let done = 0;
    return this.#reveals.map((count) => {
      const positions = Array.from({ length: count }, (_, at) => done + at);
      done += count;
      return packTokens(tokens, positions, this.#count);
    });
  }

  /** Reveals positions of every candidate; noise is keyed by position, after the uniforms of the order. */
  async #reveal(
    turns: readonly Turn<Canvas>[],
    passes: readonly Pass[],
    positions: readonly (readonly number[])[],
  ): Promise<DrawnRow<Canvas>[]> {
    const wanted: Wanted[] = turns.flatMap(({ row, stream }, at) =>
      positions[at]!.map((position) => ({
        text: this.#vectorOf(passes[at]!.text, position),
        none: passes[at]!.none && this.#vectorOf(passes[at]!.none!, position),
        guidance: guidanceAt(this.#settings, knownShare(row) + positions[at]!.length / this.#count),
        normal: this.#noiseOf(stream, position),
        // After those that decide the order.
        uniform: (value: number) => stream.uniform(this.#count + position * this.#values + value),
      })),
    );
    const drawn = await this.#head.draw(wanted);
    let next = 0;
    return turns.map(({ row }, at) => {
      const tokens = row.tokens.slice();
      const known = row.known.slice();
      const own = drawn.slice(next, next + positions[at]!.length);
      next += own.length;
      positions[at]!.forEach((position, index) => {
        tokens.set(own[index]!.values, position * this.#values);
        known[position] = 1;
      });
      const after = { ...row, tokens, known, latest: positions[at]!, vectors: passes[at]!.text };
      return { ...this.#told(after), ...likelihoodOf(own) };
    });
  }

  /** Normal values of a token by step and value. */
  #noiseOf(stream: RngStream, position: number): Wanted["normal"] {
    return (step, value) => stream.normal((step * this.#count + position) * this.#values + value);
  }

  /** The likeliest tokens in place of what is masked still; no noise, no further pass. */
  async #guessed(rows: readonly Canvas[]): Promise<Float32Array[]> {
    const masked = rows.map(({ known }) => [...known.keys()].filter((position) => known[position] === 0));
    const vectors = rows.flatMap((row, at) =>
      masked[at]!.map((position) => (row.vectors ? this.#vectorOf(row.vectors, position) : null)),
    );
    const given = vectors.filter((vector) => vector !== null);
    // After kept tokens there was no pass to guess from.
    const values = given.length === vectors.length ? await this.#head.guess(given) : null;
    let next = 0;
    return rows.map(({ tokens }, at) => {
      const filled = tokens.slice();
      for (const position of masked[at]!) if (values) filled.set(values[next++]!, position * this.#values);
      return filled;
    });
  }

  async #passes(rows: readonly Canvas[]): Promise<Pass[]> {
    const distinct = [...new Map(rows.map((row) => [row.tokens, row])).values()];
    const { prompt } = rows[0]!;
    const text = await this.#vectors(distinct, prompt.text);
    const none = this.#settings.guidance === 1 ? null : await this.#vectors(distinct, prompt.none);
    const passes = new Map(
      distinct.map(({ tokens }, at) => [tokens, { text: text[at]!, none: none && none[at]! }]),
    );
    return rows.map(({ tokens }) => passes.get(tokens)!);
  }

  async #vectors(rows: readonly Canvas[], conditioning: Conditioning): Promise<Float32Array[]> {
    const found: Float32Array[] = [];
    for (let start = 0; start < rows.length; start += AT_ONCE) {
      const part = rows.slice(start, start + AT_ONCE);
      const tokens = new Float32Array(part.length * this.#count * this.#values);
      const known = new Float32Array(part.length * this.#count);
      part.forEach((row, at) => {
        tokens.set(row.tokens, at * row.tokens.length);
        known.set(row.known, at * this.#count);
      });
      const { vectors } = await this.#parts.step.run(
        {
          tokens: { dims: [part.length, this.#count, this.#values], data: tokens },
          known: { dims: [part.length, this.#count], data: known },
          ...this.#level.inputs?.(part),
          ...conditioning,
        },
        ["vectors"],
      );
      found.push(...part.map((_, at) => rowOf(vectors!, at)));
    }
    return found;
  }

  #vectorOf(vectors: Float32Array, position: number): Float32Array {
    const width = vectors.length / this.#count;
    return vectors.subarray(position * width, (position + 1) * width);
  }

  #without(row: Canvas, positions: readonly number[]): Canvas {
    const tokens = row.tokens.slice();
    const known = row.known.slice();
    for (const position of positions) {
      tokens.fill(0, position * this.#values, (position + 1) * this.#values);
      known[position] = 0;
    }
    return { ...row, tokens, known };
  }

  #taken(row: Canvas, data: Float32Array): DrawnRow<Canvas> {
    const tokens = row.tokens.slice();
    const known = row.known.slice();
    const width = this.#values + 1;
    const latest = Array.from({ length: data.length / width }, (_, at) => {
      const share = data[at * width + this.#values]!;
      const position = Math.min(this.#count - 1, Math.max(0, Math.floor(share * this.#count)));
      tokens.set(data.subarray(at * width, at * width + this.#values), position * this.#values);
      known[position] = 1;
      return position;
    });
    // Given tokens are certain.
    const values = this.#head.knows ? { values: { logProb: 0 } } : {};
    return { ...this.#told({ ...row, tokens, known, latest, vectors: null }), ...values };
  }

  #told(row: Canvas): DrawnRow<Canvas> {
    return { row, tokens: packTokens(row.tokens, row.latest, this.#count) };
  }
}

/** The log-probability of a stage, from heads that know it. */
function likelihoodOf(drawn: readonly DrawnValues[]): Pick<DrawnRow<Canvas>, "values"> {
  if (drawn.some(({ logProb }) => logProb === undefined)) return {};
  return { values: { logProb: drawn.reduce((sum, { logProb = 0 }) => sum + logProb, 0) } };
}
