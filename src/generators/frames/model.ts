import type { Picture, Shape, View } from "../../core/generator.ts";
import type { RngStream } from "../../core/rng.ts";
import type { Task } from "../../core/task.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import type { BatchModel, DrawnRow, Turn } from "../batches.ts";
import { flowStep } from "../block-flow/flow.ts";
import type { LatentSpace } from "../canvas/latent-space.ts";
import type { Prompt, Prompts } from "../canvas/prompts.ts";
import {
  type FrameGraphs,
  type FrameInput,
  type FrameMemory,
  type Pose,
  type Reading,
  runFrames,
} from "./network.ts";
import { drawPlans, evenTimes, type PlanFacts, posesOf, sketch } from "./plan.ts";
import type { FrameSettings } from "./settings.ts";

/** What clips are drawn with. */
export interface FrameParts {
  readonly prompts: Prompts;
  readonly space: LatentSpace;
  readonly graphs: FrameGraphs;
  readonly shape: Shape;
  /** Latest frames of the context that are read in full. */
  readonly full: number;
  /** Null: frames are told of no plan. */
  readonly plan: { readonly graph: OrtSession; readonly facts: PlanFacts } | null;
}

type Group = "text" | "none";

/** A clip so far. */
interface Clip {
  readonly task: Task;
  readonly prompt: Prompt;
  /** Where the plan says that things are, by frame; empty: no plan. */
  readonly poses: readonly Pose[];
  /** [tokens, values] of each finished frame. */
  readonly frames: readonly Float32Array[];
  /** What is remembered of the oldest ones in outline, which never changes again. */
  readonly outlines: Readonly<Record<Group, readonly FrameMemory[]>>;
}

/**
 * Next frame by flow matching (FAR), each from noise of its own that is keyed by candidate and frame; with a plan as the
 * first stage (Epona), whose poses the frames are told.
 */
export class FrameModel implements BatchModel<Clip> {
  readonly #parts: FrameParts;
  readonly #settings: FrameSettings;

  constructor(parts: FrameParts, settings: FrameSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  async begin(task: Task): Promise<Clip> {
    const prompt = await this.#parts.prompts.of(task);
    return { task, prompt, poses: [], frames: [], outlines: { text: [], none: [] } };
  }

  async draw(turns: readonly Turn<Clip>[], stage: number): Promise<DrawnRow<Clip>[]> {
    const { plan } = this.#parts;
    if (plan && stage === 0) return this.#planned(turns, plan);
    const tokens = this.#parts.graphs.side ** 2;
    if (turns.every(({ kept }) => kept !== undefined)) {
      return turns.map(({ row, kept }) => withFrame(row, kept!.data as Float32Array, tokens));
    }
    const source = turns[0]!.row.task.source;
    if (source && turns[0]!.row.frames.length === 0) {
      const frame = await this.frameOf(source);
      return turns.map(({ row }) => withFrame(row, frame, tokens));
    }
    return this.#solved(turns);
  }

  async look(rows: readonly Clip[], stages: number, view: View): Promise<Picture[]> {
    const { shape, plan, graphs, space } = this.#parts;
    const coverage = stages / (shape.frames + (plan ? 1 : 0));
    if (rows[0]?.frames.length === 0) {
      return rows.map(({ poses, task }) => {
        const [first, ...others] = sketch(poses, plan!.facts, task.prompt, shape, view);
        return { frames: [first!, ...others], coverage };
      });
    }
    const canvases = rows.flatMap(({ frames }) => frames.map((frame) => transposed(frame, graphs.side ** 2)));
    const images = await space.pictures(canvases, view);
    const count = rows[0]!.frames.length;
    return rows.map((_, row) => {
      const [first, ...others] = images.slice(row * count, (row + 1) * count);
      return { frames: [first!, ...others], coverage };
    });
  }

  /** The frame that a picture is. */
  async frameOf(image: NonNullable<Task["source"]>): Promise<Float32Array> {
    return transposed(await this.#parts.space.canvas(image), this.#parts.graphs.values);
  }

  async #planned(turns: readonly Turn<Clip>[], { graph, facts }: NonNullable<FrameParts["plan"]>) {
    const { shape, graphs } = this.#parts;
    const width = graphs.values;
    const kept = turns.every((turn) => turn.kept !== undefined);
    const plans = kept
      ? turns.map((turn) => planOf(turn.kept!, width))
      : await drawPlans(
          graph,
          turns.map(({ stream }) => stream),
          shape.frames,
          this.#settings.planSteps!,
          turns[0]!.row.prompt.text,
        );
    return turns.map(({ row }, at) => ({
      row: { ...row, poses: posesOf(plans[at]!, facts) },
      tokens: kept ? turns[at]!.kept! : tokensOf(plans[at]!, width),
    }));
  }

  /** The next frame of every candidate. */
  async #solved(turns: readonly Turn<Clip>[]): Promise<DrawnRow<Clip>[]> {
    const { graphs } = this.#parts;
    const { steps, guidance } = this.#settings;
    const tokens = graphs.side ** 2;
    const size = tokens * graphs.values;
    const index = turns[0]!.row.frames.length;
    const context = {
      text: await this.#context(turns, "text"),
      none: guidance === 1 ? null : await this.#context(turns, "none"),
    };
    const x = turns.map(({ stream }) => noise(stream, size));
    const velocityOf = async (group: Group, time: number): Promise<Float32Array[]> => {
      const inputs = turns.map(({ row }, at) => ({
        ...{ tokens: x[at]!, past: context[group]!.past[at]! },
        pose: row.poses[index],
      }));
      return (await this.#run(turns, inputs, index, time, group)).map(({ velocity }) => velocity);
    };
    const times = evenTimes(steps);
    for (let step = 0; step < steps; step++) {
      const text = await velocityOf("text", times[step]!);
      const none = guidance === 1 ? null : await velocityOf("none", times[step]!);
      text.forEach((own, at) => {
        const plain = none?.[at];
        const velocity = plain
          ? Float64Array.from(own, (value, place) => plain[place]! + guidance * (value - plain[place]!))
          : own;
        flowStep(x[at]!, velocity, times[step]!, times[step + 1]!, null);
      });
    }
    return turns.map(({ row }, at) => {
      const outlines = {
        text: context.text.outlines[at]!,
        none: context.none?.outlines[at] ?? [],
      };
      return withFrame({ ...row, outlines }, Float32Array.from(x[at]!), tokens);
    });
  }

  /**
   * What is remembered of all finished frames of every candidate: the latest in full, those before in outline. The latter is
   * kept; the former stands on how far the outlines reach, and is computed for every frame.
   */
  async #context(turns: readonly Turn<Clip>[], group: Group) {
    const rows = turns.map(({ row }) => row);
    const count = rows[0]!.frames.length;
    const older = Math.max(0, count - this.#parts.full);
    const past = rows.map(({ outlines }) => [...outlines[group]]);
    const read = async (frame: number, reading: Reading): Promise<void> => {
      const inputs = rows.map(({ frames, poses }, at) => ({
        ...{ tokens: frames[frame]!, past: past[at]! },
        pose: poses[frame],
      }));
      const closed = await this.#run(turns, inputs, frame, reading, group);
      closed.forEach(({ memory }, at) => {
        past[at]!.push(memory);
      });
    };
    for (let frame = past[0]!.length; frame < older; frame++) await read(frame, "outline");
    const outlines = past.map((memories) => [...memories]);
    for (let frame = older; frame < count; frame++) await read(frame, "full");
    return { past, outlines };
  }

  #run(
    turns: readonly Turn<Clip>[],
    inputs: readonly FrameInput[],
    frame: number,
    reading: Reading,
    group: Group,
  ) {
    return runFrames(this.#parts.graphs, inputs, frame, reading, turns[0]!.row.prompt[group]);
  }
}

function withFrame(row: Clip, frame: Float32Array, tokens: number): DrawnRow<Clip> {
  return { row: { ...row, frames: [...row.frames, frame] }, tokens: { count: tokens, data: frame } };
}

function noise(stream: RngStream, size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, at) => stream.normal(at));
}

/** A plan as tokens: one a frame, its first two values x and y. */
function tokensOf(plan: Float32Array, width: number): Tokens {
  const count = plan.length / 2;
  const data = new Float32Array(count * width);
  for (let at = 0; at < count; at++) data.set(plan.subarray(2 * at, 2 * at + 2), at * width);
  return { count, data };
}

function planOf({ count, data }: Tokens, width: number): Float32Array {
  return Float32Array.from({ length: 2 * count }, (_, at) => data[(at >> 1) * width + (at & 1)]!);
}

/** [rows, columns] -> [columns, rows]. */
function transposed(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  return values.map((_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!);
}
