import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
  sidesOf,
  type View,
} from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import { createRng, type RngStream } from "../../core/rng.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { DrawnRow } from "../batches.ts";
import { chooseShape } from "../choose-shape.ts";
import { parseSettings } from "../parse-settings.ts";
import { type RowModel, rowGenerator } from "../rows.ts";

/** Cells of the canvas by side, pixels of a cell, and colours of the palette. */
const SIDE = 8;
const CELL = 4;
const COLOURS = 16;
/** Cells that each group reveals: few first, as masked models do. */
const GROUPS = [4, 8, 12, 16, 24];
/** Chance of the meant colour: at first, and what a canvas that is all right so far adds to it. */
const CHANCE = 0.45;
const TRUST = 0.5;

const cells = SIDE * SIDE;
/** Cells in the order in which they are revealed: fixed, and without a pattern. */
const order = shuffled(createRng("toy-canvas", "order").stream("token", "order", 0));

const traits: GeneratorTraits = {
  specificationVersion: SPECIFICATION_VERSION,
  name: "toy-canvas",
  version: "1",
  shape: { id: "1:1", width: SIDE * CELL, height: SIDE * CELL, frames: 1, grain: CELL },
  stages: GROUPS.map((tokens, index) => ({
    index,
    label: `group ${index + 1}`,
    tokens,
    final: GROUPS.slice(0, index + 1).reduce((sum, count) => sum + count, 0) / cells,
  })),
  tokens: { kind: "index", size: COLOURS },
  looks: ["now", "ahead"],
  can: ["keep", "encode", "refine", "rewind", "log-prob"],
  // Made up: a masked model looks at the whole canvas in every pass; guessing its end costs another one.
  cost: {
    prompt: 0,
    stages: GROUPS.map(() => 1000 * cells),
    shared: 1,
    views: { now: 100 * cells, ahead: 1100 * cells },
    drafts: { now: 4 * cells, ahead: 54 * cells },
    refine: GROUPS.map(() => 1000 * cells),
  },
  memory: null,
  settings: {},
};

/** A canvas so far: colours of the cells in the order of `order`, and which are meant. */
interface Canvas {
  readonly meant: Int32Array;
  readonly drawn: Int32Array;
}

/** The colours that a prompt means by cell: pseudo-random, a function of the prompt alone. */
function meantBy(prompt: string): Int32Array {
  const stream = createRng("toy-canvas", prompt).stream("token", "target", 0);
  return Int32Array.from({ length: cells }, (_, at) => Math.floor(COLOURS * stream.uniform(at)));
}

const model: RowModel<Canvas> = {
  begin: ({ prompt }) => ({ meant: meantBy(prompt), drawn: new Int32Array() }),
  draw({ meant, drawn }, stage, stream, kept) {
    const places = order.slice(drawn.length, drawn.length + GROUPS[stage]!);
    const chance = CHANCE + TRUST * rightShare({ meant, drawn });
    const data = kept
      ? (kept.data as Int32Array)
      : Int32Array.from(places, (place, at) => pickColour(meant[place]!, chance, stream, at));
    return told({ meant, drawn: Int32Array.of(...drawn, ...data) }, data, places, chance);
  },
  refine({ meant, drawn }, stage, share, stream) {
    const start = drawn.length - GROUPS[stage]!;
    const before = { meant, drawn: drawn.slice(0, start) };
    const chance = CHANCE + TRUST * rightShare(before);
    const places = order.slice(start, drawn.length);
    const data = drawn.slice(start);
    // The meant colour is the likelier one, so all others are less certain.
    const doubt = [...data.keys()].sort((a, b) => certain(a) - certain(b) || a - b);
    function certain(at: number): number {
      return data[at] === meant[places[at]!] ? 1 : 0;
    }
    for (const at of doubt.slice(0, Math.ceil(share * data.length))) {
      data[at] = pickColour(meant[places[at]!]!, chance, stream, at);
    }
    return told({ meant, drawn: Int32Array.of(...before.drawn, ...data) }, data, places, chance);
  },
  look(canvas, _stages, view) {
    const { drawn, meant } = canvas;
    const share = rightShare(canvas);
    const colours = new Int32Array(cells).fill(-1);
    order.forEach((place, at) => {
      // The guess at what is not revealed yet is as good as what is.
      if (at < drawn.length) colours[place] = drawn[at]!;
      else if (view.look === "ahead")
        colours[place] = (meant[place]! + ((at % 8) / 8 < share ? 0 : 1)) % COLOURS;
    });
    return { frames: [paint(colours, view)], coverage: view.look === "ahead" ? 1 : drawn.length / cells };
  },
};

function told(row: Canvas, data: Int32Array, places: readonly number[], chance: number): DrawnRow<Canvas> {
  const other = (1 - chance) / (COLOURS - 1);
  let logProb = 0;
  for (const [at, colour] of data.entries())
    logProb += Math.log(colour === row.meant[places[at]!] ? chance : other);
  const entropy = -chance * Math.log(chance) - (1 - chance) * Math.log(other);
  return { row, tokens: { count: data.length, data }, values: { logProb, entropy, confidence: chance } };
}

/** Share of the revealed cells that are as meant; of none, half. */
function rightShare({ meant, drawn }: Canvas): number {
  if (drawn.length === 0) return 0.5;
  return drawn.reduce((sum, colour, at) => sum + (colour === meant[order[at]!] ? 1 : 0), 0) / drawn.length;
}

function pickColour(meant: number, chance: number, stream: RngStream, at: number): number {
  if (stream.uniform(2 * at) < chance) return meant;
  const other = Math.floor((COLOURS - 1) * stream.uniform(2 * at + 1));
  return other < meant ? other : other + 1;
}

/** Every cell a square of its colour; what is not there yet is grey. Drafts know only every other colour. */
function paint(colours: Int32Array, { size, quality }: View): RgbImage {
  const { width, height } = sidesOf(traits.shape, size);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * SIDE) / height) * SIDE + Math.floor((x * SIDE) / width);
      const colour = colours[cell]!;
      data.set(rgbOf(quality === "draft" && colour > 0 ? colour & ~1 : colour), (y * width + x) * 3);
    }
  }
  return { width, height, data };
}

function rgbOf(colour: number): readonly number[] {
  return colour < 0
    ? [128, 128, 128]
    : [17 * colour, 17 * ((colour * 7) % COLOURS), 17 * ((colour * 11) % COLOURS)];
}

/** The colours of an image's cells, as tokens by group. */
function encode(image: RgbImage): Tokens[] {
  const nearest = Int32Array.from({ length: cells }, (_, cell) => {
    const x = (cell % SIDE) * CELL;
    const y = Math.floor(cell / SIDE) * CELL;
    const at = (y * image.width + x) * 3;
    const distance = (colour: number): number =>
      rgbOf(colour).reduce((sum, value, channel) => sum + (value - image.data[at + channel]!) ** 2, 0);
    const all = Array.from({ length: COLOURS }, (_, colour) => colour);
    return all.reduce((best, colour) => (distance(colour) < distance(best) ? colour : best), 0);
  });
  let start = 0;
  return GROUPS.map((count) => {
    const places = order.slice(start, start + count);
    start += count;
    return { count, data: Int32Array.from(places, (place) => nearest[place]!) };
  });
}

/** The one best picture of a prompt: every cell as meant. */
export function canvasBest(prompt: string): RgbImage {
  return paint(meantBy(prompt), { size: 1, look: "now" });
}

/**
 * How well a picture fits a prompt: the share of cells that are as meant, at any size of view; only the best one scores 1.
 */
export function canvasScore({ width, height, data }: RgbImage, prompt: string): number {
  const meant = meantBy(prompt);
  let right = 0;
  for (let cell = 0; cell < cells; cell++) {
    const x = Math.floor((((cell % SIDE) + 0.5) * width) / SIDE);
    const y = Math.floor(((Math.floor(cell / SIDE) + 0.5) * height) / SIDE);
    const at = (y * width + x) * 3;
    if (rgbOf(meant[cell]!).every((value, channel) => data[at + channel] === value)) right += 1;
  }
  return right / cells;
}

function shuffled(stream: RngStream): readonly number[] {
  const list = Array.from({ length: cells }, (_, at) => at);
  return list.sort((a, b) => stream.uniform(a) - stream.uniform(b));
}

/** An index canvas revealed in groups, in closed form (`--model toy-canvas`); see `canvasBest`. */
export const canvasDefinition: GeneratorDefinition = {
  async describe({ shape = {}, settings } = {}) {
    chooseShape([traits.shape], shape);
    parseSettings(z.strictObject({}), settings);
    return traits;
  },
  async open(request) {
    await this.describe(request);
    return { ...rowGenerator(traits, model), encode: async (image) => encode(image) };
  },
};
