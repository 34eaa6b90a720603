import type { Picture, View } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { RngStream } from "../../core/rng.ts";
import type { Task } from "../../core/task.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { BatchModel, DrawnRow, Turn } from "../batches.ts";
import { type CanvasManifest, sideOf } from "../canvas/manifest.ts";
import type { CanvasParts } from "../canvas/open.ts";
import type { Prompt } from "../canvas/prompts.ts";
import { cellsOf, flowStep, solverTimes } from "./flow.ts";
import { type CellGraph, type CellInput, type CellMemory, runCells } from "./network.ts";
import { cellGuidance, type FlowSettings } from "./settings.ts";

/** A canvas so far: finished cells, and what the network keeps of them by guidance group. */
interface Canvas {
  readonly prompt: Prompt;
  /** [tokens, values] of each finished cell. */
  readonly cells: readonly Float32Array[];
  readonly text: readonly CellMemory[];
  readonly none: readonly CellMemory[];
}

/** Flow by cells (xAR, ACDiT): every stage solves one cell, given the finished ones, which never change again. */
export class CellFlowModel implements BatchModel<Canvas> {
  readonly #parts: CanvasParts<CanvasManifest>;
  readonly #settings: FlowSettings;
  readonly #cells: readonly (readonly number[])[];
  readonly #graph: CellGraph;
  readonly #count: number;
  readonly #values: number;

  constructor(parts: CanvasParts<CanvasManifest>, cell: number, settings: FlowSettings) {
    const { architecture, tokenChannels } = parts.manifest;
    const side = sideOf(parts.manifest);
    this.#parts = parts;
    this.#settings = settings;
    this.#cells = cellsOf(side, cell);
    this.#count = side ** 2;
    this.#values = tokenChannels;
    this.#graph = {
      step: parts.step,
      depth: architecture.depth,
      heads: architecture.heads,
      headDim: architecture.width / architecture.heads,
      tokens: cell ** 2,
      values: tokenChannels,
    };
  }

  async begin(task: Task): Promise<Canvas> {
    return { prompt: await this.#parts.prompts.of(task), cells: [], text: [], none: [] };
  }

  async draw(turns: readonly Turn<Canvas>[], stage: number): Promise<DrawnRow<Canvas>[]> {
    const rows = turns.map(({ row }) => row);
    const kept = turns.every((turn) => turn.kept !== undefined);
    const cells = kept
      ? turns.map((turn) => turn.kept!.data as Float32Array)
      : await this.#solved(turns, stage);
    // Nobody reads what the last cell would leave behind.
    const closed = stage < this.#cells.length - 1 ? await this.#closed(rows, cells, stage) : null;
    return rows.map((row, at) => ({
      row: {
        prompt: row.prompt,
        cells: [...row.cells, cells[at]!],
        text: closed ? [...row.text, closed.text[at]!] : row.text,
        none: closed?.none ? [...row.none, closed.none[at]!] : row.none,
      },
      tokens: { count: this.#graph.tokens, data: cells[at]! },
    }));
  }

  async look(rows: readonly Canvas[], stages: number, view: View): Promise<Picture[]> {
    const canvases = rows.map(({ cells }) => {
      const canvas = new Float32Array(this.#count * this.#values);
      cells.forEach((tokens, cell) => {
        this.#cells[cell]!.forEach((position, at) => {
          for (let value = 0; value < this.#values; value++) {
            canvas[value * this.#count + position] = tokens[at * this.#values + value]!;
          }
        });
      });
      return canvas;
    });
    const images = await this.#parts.space.pictures(canvases, view);
    return images.map((image) => ({ frames: [image], coverage: stages / this.#cells.length }));
  }

  /** Tokens of an image by cell. */
  async encode(image: RgbImage): Promise<Tokens[]> {
    const canvas = await this.#parts.space.canvas(image);
    return this.#cells.map((positions) => {
      const data = new Float32Array(positions.length * this.#values);
      positions.forEach((position, at) => {
        for (let value = 0; value < this.#values; value++) {
          data[at * this.#values + value] = canvas[value * this.#count + position]!;
        }
      });
      return { count: positions.length, data };
    });
  }

  /** The cell of a stage for every candidate, from noise of its own (keyed by candidate and cell). */
  async #solved(turns: readonly Turn<Canvas>[], cell: number): Promise<Float32Array[]> {
    const { steps, solver, guidance } = this.#settings;
    const { tokens, values } = this.#graph;
    const size = tokens * values;
    const noise = (stream: RngStream, step: number, at: number): number => stream.normal(step * size + at);
    const x = turns.map(({ stream }) => Float64Array.from({ length: size }, (_, at) => noise(stream, 0, at)));
    const weight = cellGuidance(this.#settings, cell, this.#cells.length);
    const times = solverTimes(steps);
    const { prompt } = turns[0]!.row;
    const inputs = (group: "text" | "none"): CellInput[] =>
      turns.map(({ row }, at) => ({ tokens: x[at]!, past: row[group] }));
    for (let step = 0; step < steps; step++) {
      const [from, to] = [times[step]!, times[step + 1]!];
      const text = await runCells(this.#graph, inputs("text"), cell, from, prompt.text);
      const none =
        guidance === 1 || weight === 1
          ? null
          : await runCells(this.#graph, inputs("none"), cell, from, prompt.none);
      turns.forEach(({ stream }, at) => {
        const own = text[at]!.velocity;
        const plain = none ? none[at]!.velocity : null;
        const velocity = plain
          ? Float64Array.from(own, (value, index) => plain[index]! + weight * (value - plain[index]!))
          : own;
        const fresh = solver === "sde" ? (index: number) => noise(stream, step + 1, index) : null;
        flowStep(x[at]!, velocity, from, to, fresh);
      });
    }
    return x.map((values) => Float32Array.from(values));
  }

  /** What the network keeps of a finished cell, which it reads clean. */
  async #closed(rows: readonly Canvas[], cells: readonly Float32Array[], cell: number) {
    const memoryOf = async (group: "text" | "none"): Promise<CellMemory[]> => {
      const inputs = rows.map((row, at) => ({ tokens: cells[at]!, past: row[group] }));
      const closed = await runCells(this.#graph, inputs, cell, 0, rows[0]!.prompt[group], true);
      return closed.map(({ memory }) => memory);
    };
    const text = await memoryOf("text");
    return { text, none: this.#settings.guidance === 1 ? null : await memoryOf("none") };
  }
}
