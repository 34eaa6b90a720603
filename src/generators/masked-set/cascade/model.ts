import { type Picture, sidesOf, type View } from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Task } from "../../../core/task.ts";
import type { Tokens } from "../../../core/tokens.ts";
import type { Feeds } from "../../../inference/runtime/ort-session.ts";
import type { BatchModel, DrawnRow, Turn } from "../../batches.ts";
import { type CanvasManifest, canvasShape } from "../../canvas/manifest.ts";
import type { CanvasParts } from "../../canvas/open.ts";
import { type Canvas, emptyCanvas, knownShare, transposed } from "../canvas.ts";
import type { TokenHead } from "../head.ts";
import { MaskedSetModel } from "../model.ts";
import { augmented, coarsen, enlarge, type Grid, nearestPixels } from "./levels.ts";
import type { CascadeSettings } from "./settings.ts";

/** A candidate: its coarse canvas, and the fine one once that has begun. */
interface Cascaded {
  readonly coarse: Canvas;
  readonly fine: Canvas | null;
}

/** Sides of a coarse look, of the whole picture's: the autoencoder knows smaller latents as smaller pictures. */
const COARSE_VIEW = 0.5;

/**
 * Cascaded MAR (after MAR-3D): a coarse canvas is revealed set by set, then a fine one given the coarse one with noise
 * mixed in. Both levels are one network with one head.
 */
export class CascadeModel implements BatchModel<Cascaded> {
  readonly #parts: CanvasParts<CanvasManifest>;
  readonly #settings: CascadeSettings;
  readonly #grid: Grid;
  readonly #coarse: MaskedSetModel;
  readonly #fine: MaskedSetModel;

  constructor(parts: CanvasParts<CanvasManifest>, head: TokenHead, settings: CascadeSettings, grid: Grid) {
    this.#parts = parts;
    this.#settings = settings;
    this.#grid = grid;
    const [first, count] = [grid.coarse ** 2, grid.fine ** 2];
    this.#coarse = new MaskedSetModel(parts, head, settings, {
      side: grid.coarse,
      stages: settings.coarseStages,
      inputs: (rows) => this.#inputs(rows, [0, first]),
    });
    this.#fine = new MaskedSetModel(parts, head, settings, {
      side: grid.fine,
      stages: settings.stages,
      inputs: (rows) => this.#inputs(rows, [first, first + count]),
    });
  }

  async begin(task: Task): Promise<Cascaded> {
    return { coarse: await this.#coarse.begin(task), fine: null };
  }

  async draw(turns: readonly Turn<Cascaded>[], stage: number): Promise<DrawnRow<Cascaded>[]> {
    if (stage < this.#settings.coarseStages) {
      return this.#onCoarse(turns, (own) => this.#coarse.draw(own, stage));
    }
    return this.#onFine(turns, (own) => this.#fine.draw(own, stage - this.#settings.coarseStages));
  }

  async refine(
    turns: readonly Turn<Cascaded>[],
    stage: number,
    share: number,
  ): Promise<DrawnRow<Cascaded>[]> {
    if (stage < this.#settings.coarseStages) {
      return this.#onCoarse(turns, (own) => this.#coarse.refine(own, stage, share));
    }
    return this.#onFine(turns, (own) => this.#fine.refine(own, stage - this.#settings.coarseStages, share));
  }

  async look(rows: readonly Cascaded[], _stages: number, view: View): Promise<Picture[]> {
    const fine = rows.flatMap((row) => (row.fine ? [row.fine] : []));
    if (fine.length === 0) return this.#coarseLook(rows, view);
    const shown = await this.#fine.shown(fine, view.look);
    // What is not drawn yet is seen as the coarse canvas has it.
    const covered = shown.map((tokens, at) => {
      if (view.look === "ahead") return tokens;
      const under = enlarge(this.#grid, rows[at]!.coarse.tokens);
      const width = this.#grid.spread.length;
      return tokens.map((value, index) =>
        fine[at]!.known[Math.floor(index / width)] === 1 ? value : under[index]!,
      );
    });
    return (await this.#pictures(covered, view)).map((image) => ({ frames: [image], coverage: 1 }));
  }

  /** Tokens of an image by stage, in reading order: coarse ones, then the canvas'. */
  async encode(image: RgbImage): Promise<Tokens[]> {
    const canvas = await this.#parts.space.canvas(image);
    const tokens = transposed(canvas, this.#grid.fine ** 2);
    return [...this.#coarse.split(coarsen(this.#grid, tokens)), ...this.#fine.split(tokens)];
  }

  async #coarseLook(rows: readonly Cascaded[], view: View): Promise<Picture[]> {
    const canvases = rows.map(({ coarse }) => coarse);
    const shown = await this.#coarse.shown(canvases, view.look);
    const images = await this.#pictures(
      shown.map((tokens) => enlarge(this.#grid, tokens)),
      { ...view, size: Math.min(view.size, COARSE_VIEW) },
    );
    const { width, height } = sidesOf(canvasShape(this.#parts.manifest), view.size);
    return images.map((image, at) => ({
      frames: [nearestPixels(image, width, height)],
      coverage: view.look === "ahead" ? 1 : knownShare(canvases[at]!),
    }));
  }

  #pictures(tokens: readonly Float32Array[], view: View): Promise<RgbImage[]> {
    const width = this.#grid.spread.length;
    return this.#parts.space.pictures(
      tokens.map((each) => transposed(each, width)),
      view,
    );
  }

  async #onCoarse(
    turns: readonly Turn<Cascaded>[],
    draw: (turns: readonly Turn<Canvas>[]) => Promise<readonly DrawnRow<Canvas>[]>,
  ): Promise<DrawnRow<Cascaded>[]> {
    const drawn = await draw(turns.map((turn) => ({ ...turn, row: turn.row.coarse })));
    return drawn.map((each) => ({ ...each, row: { coarse: each.row, fine: null } }));
  }

  async #onFine(
    turns: readonly Turn<Cascaded>[],
    draw: (turns: readonly Turn<Canvas>[]) => Promise<readonly DrawnRow<Canvas>[]>,
  ): Promise<DrawnRow<Cascaded>[]> {
    const drawn = await draw(turns.map((turn) => ({ ...turn, row: this.#begun(turn) })));
    return drawn.map((each, at) => ({ ...each, row: { coarse: turns[at]!.row.coarse, fine: each.row } }));
  }

  /** The fine canvas of a candidate; before its first draw, noise of the candidate's own goes into what lies under it. */
  #begun({ row, stream, kept }: Turn<Cascaded>): Canvas {
    const { coarse } = row;
    const width = this.#grid.spread.length;
    const count = this.#grid.fine ** 2;
    const fine = row.fine ?? emptyCanvas(coarse.prompt, count, width);
    if (fine.under || kept) return fine;
    // After the normal values of all tokens and steps.
    const from = (this.#settings.headSteps + 1) * count * width;
    // A canvas of its own, also where kept tokens were shared: what lies under it is not.
    const tokens = fine.tokens.slice();
    return { ...fine, tokens, under: augmented(coarse.tokens, this.#settings.augment, stream, from) };
  }

  /** Where tokens lie among those of both levels, and what lies under them. */
  #inputs(rows: readonly Canvas[], [first, end]: readonly [number, number]): Feeds {
    const { coarse, spread } = this.#grid;
    const length = coarse ** 2 * spread.length;
    const data = new Float32Array(rows.length * length);
    rows.forEach(({ under }, at) => {
      if (under) data.set(under, at * length);
    });
    const at = BigInt64Array.from({ length: end - first }, (_, index) => BigInt(first + index));
    const seen = first === 0 ? 0 : 1;
    return {
      at: { dims: [at.length], data: at },
      coarse: { dims: [rows.length, coarse ** 2, spread.length], data },
      time: { dims: [1], data: Float32Array.of(seen * this.#settings.augment) },
      seen: { dims: [1], data: Float32Array.of(seen) },
    };
  }
}
