import { z } from "zod";
import { TtsVarError } from "../../src/core/errors.ts";
import { type View, viewAt } from "../../src/core/generator.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";

/**
 * Where and how much: places on the schedule of scales, widths, preview sizes. A place is a scale's index, or a fraction
 * of the way from the first scale (0) to the last (1), so that one setting serves schedules of any length.
 */
export const placeSchema = z
  .number()
  .min(0)
  .describe("scale index, or a fraction between 0 and 1 of the way to the last scale");

/** Side of previews where a model has no drafts: a quarter of a full view's price. */
const WITHOUT_DRAFTS = 0.5;

export const previewSchema = z
  .union([z.number().gt(0).max(1), z.enum(["auto", "draft"])])
  .describe(
    "how unfinished pictures are looked at: side relative to the full picture (1: full size), `draft` for the model's draft decoder at full size, `auto` for drafts where the model has them and 0.5 elsewhere",
  );
export type Preview = z.output<typeof previewSchema>;

/**
 * Scale indices of places, ascending and distinct. Fractions round half up; one that falls on a scale already taken
 * moves to the next free one.
 *
 * @param last largest index allowed
 * @throws CONFIG_INVALID for an index outside the schedule
 */
export function resolvePlaces(
  places: readonly number[],
  count: number,
  last: number,
  what: string,
): number[] {
  const taken = new Set<number>();
  for (const place of [...places].sort((a, b) => position(a, count) - position(b, count))) {
    let index = Number.isInteger(place) ? place : Math.floor(place * (count - 1) + 0.5);
    if (Number.isInteger(place) && index > last) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `${what}: scale ${place} does not exist or comes too late; this model allows 0..${last} (it has ${count} scales)`,
      );
    }
    while (!Number.isInteger(place) && taken.has(index)) index += 1;
    if (index <= last) taken.add(index);
  }
  return [...taken].sort((a, b) => a - b);
}

function position(place: number, count: number): number {
  return Number.isInteger(place) ? place : place * (count - 1);
}

/**
 * How previews are seen. Models that can guess at the end of an unfinished picture are asked to: it says more of what a
 * reward will see than a picture with holes.
 *
 * @throws TtsVarError CONFIG_INVALID for drafts of a model that has none
 */
export function previewView({ shape, looks, drafts }: SearchSpace, preview: Preview): View {
  const look = looks.includes("ahead") ? "ahead" : "now";
  if (typeof preview === "number") return viewAt(shape, preview, look);
  if (drafts.includes(look)) return viewAt(shape, 1, look, "draft");
  if (preview === "auto") return viewAt(shape, WITHOUT_DRAFTS, look);
  throw new TtsVarError(
    "CONFIG_INVALID",
    "the strategy's previews are drafts, but this model has no draft decoder; give a size, or `auto`",
  );
}

/** Whole widths of a real multiple of a shape; never below one. */
export function scaledWidths(shape: readonly number[], multiplier: number): number[] {
  return shape.map((width) => Math.max(1, Math.round(width * multiplier)));
}

/**
 * Maps a list of one value per scale to a schedule of another length, by relative position. Changes of the list keep
 * their order and fall on distinct scales.
 */
export function mapToScales(list: readonly number[], count: number): number[] {
  if (list.length === count) return [...list];
  const changes = list.flatMap((value, index) => (index > 0 && value !== list[index - 1] ? [index] : []));
  const places = resolvePlaces(
    changes.map((index) => fractionOf(index, list.length)),
    count,
    count - 1,
    "widths",
  );
  const mapped = new Array<number>(count).fill(list[0]!);
  for (const [index, place] of places.entries()) mapped.fill(list[changes[index]!]!, place);
  return mapped;
}

/** An index of one schedule as a fraction that `resolvePlaces` understands. */
function fractionOf(index: number, count: number): number {
  // The very last scale would read as index 1; the nearest fraction below it rounds to the last scale all the same.
  return Math.min(index / (count - 1), 1 - 1e-9);
}
