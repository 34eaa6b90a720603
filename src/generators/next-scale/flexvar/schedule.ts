import type { Schedule } from "../infinity/manifest.ts";
import type { Grid } from "../resize.ts";

/** Token grids for a full grid of 8x8, by number of steps; a repeated side grows in one direction first. */
const STEPS: Readonly<Record<number, readonly (readonly [number, number])[]>> = {
  4: squares(1, 2, 4, 8),
  5: squares(1, 2, 3, 5, 8),
  6: squares(1, 2, 3, 4, 6, 8),
  7: squares(1, 2, 3, 4, 5, 6, 8),
  8: squares(1, 2, 3, 4, 5, 6, 7, 8),
  9: [...squares(1, 2, 3, 4, 5, 6, 7), [7, 8], [8, 8]],
  10: [...squares(1, 2, 3), [3, 4], ...squares(4, 5, 6, 7), [7, 8], [8, 8]],
};
/** Side that the steps are written for. */
const SIDE = 8;

export const FEWEST_STEPS = 4;
export const MOST_STEPS = 10;

function squares(...sides: readonly number[]): (readonly [number, number])[] {
  return sides.map((side) => [side, side] as const);
}

/**
 * Token grids of a picture of a shape in a number of steps: those of the square, cut to the shape's proportions (FlexVAR,
 * appendix: int(h s / side)), without repeats.
 *
 * @param full full latent grid
 */
export function gridsOf(full: Grid, steps: number): (readonly [number, number])[] {
  const scaled = STEPS[steps]!.map(([h, w]) => {
    const part = (side: number, whole: number): number => Math.max(1, Math.floor((side * whole) / SIDE));
    return [part(h, full.h), part(w, full.w)] as const;
  });
  return scaled.filter(([h, w], at) => at === 0 || h !== scaled[at - 1]![0] || w !== scaled[at - 1]![1]);
}

/**
 * A schedule with rotary positions: where a token of each grid lies on the reference grid, rounded to a whole number, halves
 * to the even one.
 *
 * @param reference side of the grid that the model was trained on
 */
export function flexSchedule(id: string, full: Grid, steps: number, reference: number): Schedule {
  const scales = gridsOf(full, steps).map(([h, w]): [number, number] => [h, w]);
  const longest = Math.max(full.h, full.w);
  const axis = (count: number, whole: number): number[] =>
    Array.from({ length: count }, (_, at) =>
      evenRound(at * Math.fround((whole * reference) / longest / count)),
    );
  return {
    id,
    ratio: full.h / full.w,
    scales,
    rope: { y: scales.map(([h]) => axis(h, full.h)), x: scales.map(([, w]) => axis(w, full.w)) },
  };
}

function evenRound(value: number): number {
  const exact = Math.fround(value);
  const low = Math.floor(exact);
  const rest = exact - low;
  if (rest !== 0.5) return Math.round(exact);
  return low % 2 === 0 ? low : low + 1;
}
