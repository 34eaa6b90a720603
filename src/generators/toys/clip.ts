import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
  sidesOf,
} from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import { createRng } from "../../core/rng.ts";
import { chooseShape } from "../choose-shape.ts";
import { parseSettings } from "../parse-settings.ts";
import { type RowModel, rowGenerator } from "../rows.ts";

const FRAMES = 6;
/** Cells of a frame by side, and pixels of a cell. */
const SIDE = 4;
const CELL = 4;
const CHANNELS = 3;
/** What a frame keeps of its predecessor's error, and how much noise of its own it adds. */
const MEMORY = 0.7;
const NOISE = 0.25;

const cells = SIDE * SIDE;
const values = cells * CHANNELS;

const traits: GeneratorTraits = {
  specificationVersion: SPECIFICATION_VERSION,
  name: "toy-clip",
  version: "1",
  shape: { id: "1:1", width: SIDE * CELL, height: SIDE * CELL, frames: FRAMES, grain: CELL },
  stages: Array.from({ length: FRAMES }, (_, index) => ({
    index,
    label: `frame ${index + 1}`,
    tokens: cells,
    final: (index + 1) / FRAMES,
  })),
  tokens: { kind: "vector", width: CHANNELS },
  looks: ["now", "ahead"],
  can: ["keep", "rewind", "log-prob"],
  // Made up: every frame attends to all before it.
  cost: {
    prompt: 500,
    stages: Array.from({ length: FRAMES }, (_, index) => 1000 * cells + 200 * cells * index),
    shared: 0,
    views: { now: 100 * cells * FRAMES, ahead: 120 * cells * FRAMES },
  },
  memory: null,
  settings: {},
};

/** Frames so far, each [cells, channels] in [-1, 1] about the colours that the prompt means. */
interface Clip {
  readonly meant: readonly Float32Array[];
  readonly frames: readonly Float32Array[];
}

/** The frames that a prompt means: every cell's colour moves along a sine of its own. */
function meantBy(prompt: string): Float32Array[] {
  const rng = createRng("toy-clip", prompt);
  const phase = rng.stream("token", "phase", 0);
  const speed = rng.stream("token", "speed", 0);
  return Array.from({ length: FRAMES }, (_, frame) =>
    Float32Array.from(
      { length: values },
      (_, at) => 0.6 * Math.sin(2 * Math.PI * (phase.uniform(at) + 0.2 * speed.uniform(at) * frame)),
    ),
  );
}

const model: RowModel<Clip> = {
  begin: ({ prompt }) => ({ meant: meantBy(prompt), frames: [] }),
  draw({ meant, frames }, stage, stream, kept) {
    const expected = guess({ meant, frames }, stage);
    const data = kept
      ? (kept.data as Float32Array)
      : expected.map((value, at) => value + NOISE * stream.normal(at));
    const squares = data.reduce((sum, value, at) => sum + ((value - expected[at]!) / NOISE) ** 2, 0);
    const perValue = Math.log(NOISE * Math.sqrt(2 * Math.PI));
    return {
      row: { meant, frames: [...frames, data] },
      tokens: { count: cells, data },
      values: { logProb: -squares / 2 - values * perValue, entropy: perValue + 0.5 },
    };
  },
  look(clip, stages, { size, look }) {
    const all = [...clip.frames];
    if (look === "ahead") while (all.length < FRAMES) all.push(guess({ ...clip, frames: all }, all.length));
    const [first, ...others] = all.map((frame) => paint(frame, size));
    return { frames: [first!, ...others], coverage: look === "ahead" ? 1 : stages / FRAMES };
  },
};

/** The mean of the next frame: as meant, with a part of the last frame's error. */
function guess({ meant, frames }: Clip, stage: number): Float32Array {
  const before = frames[stage - 1];
  return meant[stage]!.map((value, at) =>
    before ? value + MEMORY * (before[at]! - meant[stage - 1]![at]!) : value,
  );
}

function paint(frame: Float32Array, size: number): RgbImage {
  const { width, height } = sidesOf(traits.shape, size);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * SIDE) / height) * SIDE + Math.floor((x * SIDE) / width);
      for (let channel = 0; channel < CHANNELS; channel++) {
        const value = Math.round(127.5 * (1 + frame[cell * CHANNELS + channel]!));
        data[(y * width + x) * 3 + channel] = Math.min(255, Math.max(0, value));
      }
    }
  }
  return { width, height, data };
}

/** The one best clip of a prompt: every frame as meant. */
export function clipBest(prompt: string): RgbImage[] {
  return meantBy(prompt).map((frame) => paint(frame, 1));
}

/** How well frames fit a prompt: 1 minus the mean absolute difference to the best clip's; only that one scores 1. */
export function clipScore(frames: readonly RgbImage[], prompt: string): number {
  const best = meantBy(prompt);
  let sum = 0;
  let count = 0;
  for (const [index, { width, data }] of frames.entries()) {
    const expected = paint(best[index]!, width / traits.shape.width);
    for (const [at, value] of data.entries()) sum += Math.abs(value - expected.data[at]!);
    count += data.length;
  }
  return 1 - sum / (255 * count);
}

/** Vectors by frames with noise drawn per lineage, in closed form (`--model toy-clip`); see `clipBest`. */
export const clipDefinition: GeneratorDefinition = {
  async describe({ shape = {}, settings } = {}) {
    chooseShape([traits.shape], shape);
    parseSettings(z.strictObject({}), settings);
    return traits;
  },
  async open(request) {
    await this.describe(request);
    return rowGenerator(traits, model);
  },
};
