import { z } from "zod";
import type { RgbImage } from "../src/core/image.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";
import { facts } from "./parts/facts.ts";
import { find, likeness, PAINT, type Thing } from "./parts/follow.ts";

/** Sides as steps in x and y, which grows downwards. */
const WAYS: Readonly<Record<string, readonly [number, number]>> = {
  right: [1, 0],
  left: [-1, 0],
  down: [0, 1],
  up: [0, -1],
};
/** Share of a frame's side that a thing has to move between two frames to have moved. */
const MOVED = 0.04;

/** What a prompt says of a moving thing. */
interface Said {
  readonly color: string | null;
  readonly way: readonly [number, number] | null;
}

const traits: RewardTraits = { name: "track", version: "1", ...facts.track };

/**
 * Whether one thing persists through a clip: in every frame there is something before the plain background, painted as the
 * prompt says, of the form that it had in the frame before, and moved to the side that the prompt names. The product of the
 * three means, each in [0, 1]. No weights; what the thing is, it does not ask. A still is scored by its colour alone.
 */
export const track: RewardDefinition<Record<string, never>> = {
  name: "track",
  summary: "whether one thing of the prompt's colour persists through a clip and moves as the prompt says",
  license: facts.track.license,
  options: z.strictObject({}),
  traits: async () => traits,
  create: async () => ({
    ...traits,
    score(batch) {
      const found = batch.map(({ prompt, frames, image }) => trackOf(frames ?? [image], readMotion(prompt)));
      return { scores: found.map(({ score }) => score), details: found };
    },
    async [Symbol.asyncDispose]() {},
  }),
};

/** The first colour and the first side in a prompt: "a red ball moving right". */
function readMotion(prompt: string): Said {
  const words = prompt.toLowerCase().split(/[^a-z]+/);
  const color = words.find((word) => Object.hasOwn(PAINT, word)) ?? null;
  const side = words.find((word) => Object.hasOwn(WAYS, word));
  return { color, way: side === undefined ? null : WAYS[side]! };
}

function trackOf(frames: readonly RgbImage[], { color, way }: Said) {
  const things = frames.map((frame) => find(frame, null));
  const painted = mean(things.map((thing, at) => (thing ? shareOf(frames[at]!, color, thing) : 0)));
  const pairs = things.slice(1).map((thing, at) => [things[at], thing] as const);
  const form = mean(pairs.map(([one, two]) => (one && two ? likeness(one, two, frames[0]!) : 0)));
  const moved = mean(
    pairs.map(([one, two]) => (one && two && (way === null || goes(one, two, way)) ? 1 : 0)),
  );
  return { painted, form, moved, score: painted * form * moved };
}

/** Share of a thing's pixels that are nearest to a colour. */
function shareOf(frame: RgbImage, color: string | null, { count }: Thing): number {
  return color === null ? 1 : (find(frame, color)?.count ?? 0) / count;
}

function goes(one: Thing, two: Thing, [x, y]: readonly [number, number]): boolean {
  return (two.x - one.x) * x + (two.y - one.y) * y > MOVED;
}

/** Of nothing: 1. */
function mean(values: readonly number[]): number {
  return values.length === 0 ? 1 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
