import * as z from "zod";
import { type Shape, sidesOf, type View } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { RngStream } from "../../core/rng.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { flowStep } from "../block-flow/flow.ts";
import type { Conditioning } from "../canvas/prompts.ts";
import type { Pose } from "./network.ts";

const channel = z.int().min(0).max(255);
const color = z.tuple([channel, channel, channel]);
const pixels = z.number().positive();

/** What a manifest says of plans. */
export const planEntry = z.looseObject({
  file: z.string(),
  sha256: z.string(),
  /** One pass, of one candidate. */
  flops: z.number().min(0),
  steps: z.int().positive(),
  /** Places that frames know, on both axes: in pixels of the full picture. */
  grid: z.looseObject({ first: pixels, step: pixels, places: z.int().min(2) }),
  /** How a plan is shown: a box on a plain road, painted in the prompt's first colour that is listed. */
  sketch: z.looseObject({ road: color, size: z.tuple([pixels, pixels]), paint: z.record(z.string(), color) }),
});

export type PlanFacts = z.output<typeof planEntry>;
type Rgb = z.output<typeof color>;

const BLACK: Rgb = [0, 0, 0];

/** Times of Euler's solver: from noise at 1 evenly to 0. */
export function evenTimes(steps: number): number[] {
  return Array.from({ length: steps + 1 }, (_, step) => 1 - step / steps);
}

/**
 * Plans of candidates by a flow (Epona's trajectory head): [2 * frames] each, x and y in turn, about -1 to 1. They are told
 * the text alone, since a clip starts from nothing.
 */
export async function drawPlans(
  graph: OrtSession,
  streams: readonly RngStream[],
  frames: number,
  steps: number,
  { sos }: Conditioning,
): Promise<Float32Array[]> {
  const size = 2 * frames;
  const plans = streams.map((stream) => Float64Array.from({ length: size }, (_, at) => stream.normal(at)));
  const times = evenTimes(steps);
  for (let step = 0; step < steps; step++) {
    const plan = {
      dims: [plans.length, size],
      data: Float32Array.from(plans.flatMap((values) => [...values])),
    };
    const time = { dims: [1], data: Float32Array.of(times[step]!) };
    const { velocity } = await graph.run({ plan, time, sos: sos! }, ["velocity"]);
    plans.forEach((values, row) => {
      const own = velocity!.data.subarray(row * size, (row + 1) * size);
      flowStep(values, own, times[step]!, times[step + 1]!, null);
    });
  }
  return plans.map((values) => Float32Array.from(values));
}

/** The grid's places that frames are told of, by frame. */
export function posesOf(plan: ArrayLike<number>, { grid }: PlanFacts): Pose[] {
  const last = grid.places - 1;
  const place = (value: number): number =>
    Math.min(last, Math.max(0, roundHalfToEven(((Math.fround(value) + 1) * last) / 2)));
  return Array.from({ length: plan.length / 2 }, (_, at) => [place(plan[2 * at]!), place(plan[2 * at + 1]!)]);
}

/** A plan as pictures, one a frame: where it is at the places that frames will be told. */
export function sketch(
  poses: readonly Pose[],
  { grid, sketch: { road, size, paint } }: PlanFacts,
  prompt: string,
  shape: Shape,
  view: View,
): RgbImage[] {
  const { width, height } = sidesOf(shape, view.size);
  const scale = width / shape.width;
  const word = prompt
    .toLowerCase()
    .split(/[^a-z]+/)
    .find((part) => Object.hasOwn(paint, part));
  const box = word === undefined ? BLACK : paint[word]!;
  return poses.map((pose) => {
    const [x, y] = pose.map((place) => scale * (grid.first + grid.step * place)) as [number, number];
    const [halfWidth, halfHeight] = size.map((side) => (scale * side) / 2) as [number, number];
    const data = new Uint8Array(3 * width * height);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const inside = Math.abs(column + 0.5 - x) < halfWidth && Math.abs(row + 0.5 - y) < halfHeight;
        data.set(inside ? box : road, 3 * (row * width + column));
      }
    }
    return { width, height, data };
  });
}

/** As PyTorch rounds. */
function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
}
