import { TtsVarError } from "../../../core/errors.ts";
import type { Picture, View } from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Task } from "../../../core/task.ts";
import { rowOf, type Tensor } from "../../../core/tensor.ts";
import type { Tokens } from "../../../core/tokens.ts";
import type { BatchModel, DrawnRow, Turn } from "../../batches.ts";
import type { Codebook } from "../../canvas/codebook.ts";
import { type CanvasManifest, sideOf } from "../../canvas/manifest.ts";
import type { CanvasParts } from "../../canvas/open.ts";
import type { Conditioning, Prompt } from "../../canvas/prompts.ts";
import { type DrawnToken, drawToken } from "./draw-token.ts";
import { type Group, type Grouping, positionsOf, stagesOf } from "./groups.ts";
import type { GroupSettings } from "./settings.ts";

/** A canvas, or a clip of them, so far. */
interface Canvas {
  readonly prompt: Prompt;
  /** In the order of drawing. Candidates that share the very array are one, and are computed once. */
  readonly codes: Int32Array;
}

/** Candidates in one call of the graph. */
const AT_ONCE = 16;
/** Places asked for at once, at least: a product with a single row takes another path in the runtime (decision 0003). */
const LEAST_PLACES = 4;

/** Codes in ordered groups: every pass reads all that is known, and predicts the next group by its neighbours (NAR). */
export class GroupModel implements BatchModel<Canvas> {
  readonly #parts: CanvasParts<CanvasManifest>;
  readonly #codebook: Codebook;
  readonly #settings: GroupSettings;
  /** Tokens of a frame. */
  readonly #area: number;
  readonly #stages: readonly (readonly Group[])[];
  readonly #order: readonly number[];

  constructor(
    parts: CanvasParts<CanvasManifest>,
    codebook: Codebook,
    { grouping, frames = 1 }: { readonly grouping: Grouping; readonly frames?: number | undefined },
    settings: GroupSettings,
  ) {
    this.#parts = parts;
    this.#codebook = codebook;
    this.#settings = settings;
    this.#area = sideOf(parts.manifest) ** 2;
    this.#stages = stagesOf(grouping, sideOf(parts.manifest), frames);
    this.#order = this.#stages.flatMap(positionsOf);
  }

  async begin(task: Task): Promise<Canvas> {
    return { prompt: await this.#parts.prompts.of(task), codes: new Int32Array() };
  }

  async draw(turns: readonly Turn<Canvas>[], stage: number): Promise<DrawnRow<Canvas>[]> {
    const groups = this.#stages[stage]!;
    const [first] = turns;
    if (first?.kept) return turns.map(({ row, kept }) => this.#told(row, kept!.data as Int32Array, []));
    let codes = turns.map(({ row }) => row.codes);
    const drawn: DrawnToken[][] = turns.map(() => []);
    for (const group of groups) {
      const next = await this.#group(turns, codes, group, drawn[0]!.length);
      codes = codes.map((known, at) => Int32Array.of(...known, ...next[at]!.map(({ token }) => token)));
      next.forEach((each, at) => {
        drawn[at]!.push(...each);
      });
    }
    return turns.map(({ row }, at) =>
      this.#told(
        row,
        Int32Array.from(drawn[at]!, ({ token }) => token),
        drawn[at]!,
      ),
    );
  }

  async look(rows: readonly Canvas[], stages: number, view: View): Promise<Picture[]> {
    const area = this.#area;
    // A frame is there when its first token is, which lies in the plane of its own number.
    const frames = Math.min(this.#order.length / area, stages);
    const canvases = rows.flatMap(({ codes }) => {
      const placed = new Int32Array(this.#order.length).fill(-1);
      codes.forEach((code, at) => {
        placed[this.#order[at]!] = code;
      });
      return Array.from({ length: frames }, (_, frame) =>
        this.#codebook.canvas(placed.subarray(frame * area, (frame + 1) * area)),
      );
    });
    const images = await this.#parts.space.pictures(canvases, view);
    return rows.map(({ codes }, row) => {
      const [first, ...others] = images.slice(row * frames, (row + 1) * frames);
      return { frames: [first!, ...others], coverage: codes.length / this.#order.length };
    });
  }

  /** Tokens of an image by stage. */
  async encode(image: RgbImage): Promise<Tokens[]> {
    const codes = this.#codebook.codes(await this.#parts.space.canvas(image));
    return this.#stages.map((groups) => {
      const data = Int32Array.from(positionsOf(groups), (position) => codes[position]!);
      return { count: data.length, data };
    });
  }

  /** Tokens of a group for every candidate; `used` positions of the streams are used up in this stage. */
  async #group(
    turns: readonly Turn<Canvas>[],
    codes: readonly Int32Array[],
    { sources }: Group,
    used: number,
  ): Promise<DrawnToken[][]> {
    const { heads } = this.#settings;
    const distinct = [...new Set(codes)];
    const places = [...new Set(sources.flat().filter((place) => place >= 0))];
    while (places.length < LEAST_PLACES) places.push(places[0]!);
    const prompt = turns[0]!.row.prompt;
    const text = await this.#logits(distinct, places, prompt.text);
    const none = this.#settings.guidance === 1 ? null : await this.#logits(distinct, places, prompt.none);
    return turns.map(({ stream }, at) => {
      const index = distinct.indexOf(codes[at]!);
      return sources.map((neighbours, token) => {
        const averaged = (logits: readonly Float32Array[]) =>
          averageOf(logits[index]!, neighbours, places, heads);
        return this.#drawn(averaged(text), none && averaged(none), stream.uniform(used + token));
      });
    });
  }

  #drawn(text: Float64Array, none: Float64Array | null, uniform: number): DrawnToken {
    try {
      return drawToken(text, none, this.#settings, uniform);
    } catch (cause) {
      throw new TtsVarError("MODEL_RUNTIME", `${this.#parts.folder.name}: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** Logits at places of the sequence, [heads, places, entries] for each of the canvases. */
  async #logits(
    codes: readonly Int32Array[],
    places: readonly number[],
    conditioning: Conditioning,
  ): Promise<Float32Array[]> {
    const length = codes[0]!.length + 1;
    const at = { dims: [places.length], data: BigInt64Array.from(places, BigInt) };
    const rows: Float32Array[] = [];
    for (let start = 0; start < codes.length; start += AT_ONCE) {
      const part = codes.slice(start, start + AT_ONCE);
      const data = new BigInt64Array(part.length * length);
      part.forEach((known, row) => {
        data[row * length] = BigInt(this.#codebook.entries);
        known.forEach((code, token) => {
          data[row * length + token + 1] = BigInt(code);
        });
      });
      const feeds = { codes: { dims: [part.length, length], data }, at, ...conditioning };
      const logits: Tensor = (await this.#parts.step.run(feeds, ["logits"]))["logits"]!;
      rows.push(...part.map((_, row) => rowOf(logits, row)));
    }
    return rows;
  }

  #told(row: Canvas, data: Int32Array, drawn: readonly DrawnToken[]): DrawnRow<Canvas> {
    const sum = (value: (token: DrawnToken) => number): number =>
      drawn.reduce((total, token) => total + value(token), 0);
    return {
      row: { ...row, codes: Int32Array.of(...row.codes, ...data) },
      tokens: { count: data.length, data },
      values: {
        logProb: sum(({ logProb }) => logProb),
        entropy: sum(({ entropy }) => entropy) / Math.max(1, drawn.length),
      },
    };
  }
}

/** Mean of the predictions of a token's neighbours, or of the one head that is asked for where it has one. */
function averageOf(
  logits: Float32Array,
  neighbours: readonly number[],
  places: readonly number[],
  heads: GroupSettings["heads"],
): Float64Array {
  const present = neighbours.flatMap((place, head) => (place < 0 ? [] : [{ place, head }]));
  const wanted = present.filter(({ head }) => heads === "both" || head === (heads === "right" ? 0 : 1));
  const used = wanted.length > 0 ? wanted : present;
  const entries = logits.length / (neighbours.length * places.length);
  const mean = new Float64Array(entries);
  for (const { place, head } of used) {
    const base = (head * places.length + places.indexOf(place)) * entries;
    for (let entry = 0; entry < entries; entry++) mean[entry]! += logits[base + entry]! / used.length;
  }
  return mean;
}
