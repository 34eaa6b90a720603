import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RgbImage } from "../src/core/image.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";
import { facts } from "./parts/facts.ts";
import { find, PAINT } from "./parts/follow.ts";

/** The driving world of training/ttsvar/frames/worlds.py, in 1/8 of a frame's side. */
const LANES: Readonly<Record<string, number>> = { above: 2, middle: 4, below: 6 };
const GOALS: Readonly<Record<string, number>> = { up: 2, down: 6 };
const OBSTACLES = [
  { name: "stop sign", x: 4, color: "black" },
  { name: "fire hydrant", x: 6, color: "orange" },
] as const;
/** Grid on which cars stand, on both axes. */
const [FIRST, LAST] = [2, 6];
/** A car this near to an obstacle, on both axes, has run into it. */
const REACH = 1.5;
/** Distance to the goal's lane from which an end counts nothing. */
const FAR = 4;

interface Road {
  readonly color: string;
  readonly goal: number;
  readonly obstacles: readonly (readonly [x: number, y: number])[];
}

const traits: RewardTraits = { name: "drive", version: "1", ...facts.drive };

/**
 * The exact return of a drive: share of frames before the first collision, times how near the car ends to the side that the
 * prompt names. Where obstacles stand says the prompt; where the car is, its colour in each frame, rounded to the grid. A
 * frame without a car ends the drive. Plans are scored by their sketches.
 */
export const drive: RewardDefinition<Record<string, never>> = {
  name: "drive",
  summary: "return of a drive: no collision with what the prompt names, and the side reached that it names",
  license: facts.drive.license,
  options: z.strictObject({}),
  traits: async () => traits,
  create: async () => ({
    ...traits,
    score(batch) {
      const found = batch.map(({ prompt, frames, image }) => driveOf(frames ?? [image], readRoad(prompt)));
      return { scores: found.map(({ score }) => score), details: found };
    },
    async [Symbol.asyncDispose]() {},
  }),
};

/** @throws TtsVarError REWARD_FAILED for a prompt that is no drive */
function readRoad(prompt: string): Road {
  const text = prompt.toLowerCase();
  const color = text.split(/[^a-z]+/).find((word) => Object.hasOwn(PAINT, word));
  const goal = /\bdriv\w* (up|down)\b/.exec(text)?.[1];
  if (color === undefined || goal === undefined) {
    throw new TtsVarError(
      "REWARD_FAILED",
      `reward drive cannot read the prompt "${prompt}": write it as "a red car driving up past a stop sign below and a fire hydrant in the middle"`,
      { details: { prompt } },
    );
  }
  const obstacles = OBSTACLES.flatMap(({ name, x }) => {
    const lane = new RegExp(`${name} (?:in the )?(above|middle|below)`).exec(text)?.[1];
    return lane === undefined ? [] : [[x, LANES[lane]!] as const];
  });
  return { color, goal: GOALS[goal]!, obstacles };
}

function driveOf(frames: readonly RgbImage[], { color, goal, obstacles }: Road) {
  const others = OBSTACLES.map((obstacle) => obstacle.color);
  const places = frames.map((frame) => {
    const car = find(frame, color, others);
    return car && ([toGrid(car.x), toGrid(car.y)] as const);
  });
  const hit = places.findIndex(
    (place) =>
      !place || obstacles.some(([x, y]) => Math.max(Math.abs(place[0] - x), Math.abs(place[1] - y)) < REACH),
  );
  const safe = (hit < 0 ? places.length : hit) / places.length;
  const end = places.at(-1);
  const near = end ? Math.max(0, 1 - Math.abs(end[1] - goal) / FAR) : 0;
  return { places, safe, near, score: safe * near };
}

function toGrid(share: number): number {
  return Math.min(LAST, Math.max(FIRST, Math.round(8 * share)));
}
