/** Row-major positions of a square canvas by cell, cells and their tokens in reading order. */
export function cellsOf(side: number, cell: number): number[][] {
  const across = side / cell;
  return Array.from({ length: across * across }, (_, index) => {
    const [top, left] = [Math.floor(index / across) * cell, (index % across) * cell];
    return Array.from(
      { length: cell * cell },
      (_, at) => (top + Math.floor(at / cell)) * side + left + (at % cell),
    );
  });
}

/** Where the solver stops before the last step, which goes to the clean cell at once (xAR). */
const LAST = 0.04;

/** Times of a cell's solver: from noise evenly to .04, then 0. */
export function solverTimes(steps: number): number[] {
  if (steps === 1) return [1, 0];
  return [...Array.from({ length: steps }, (_, step) => 1 - ((1 - LAST) * step) / (steps - 1)), 0];
}

/**
 * One step of the flow `x_t = (1 - t) x + t e` with velocity `v = e - x`, in place.
 *
 * Stochastic (xAR): the drift `(2 - t) v + x` is `v - t score` with the score of the flow, and noise of variance
 * `2 t |dt|` makes up for it; the last step is without. Otherwise Euler's step `v dt`.
 *
 * @param fresh standard normal values; null: Euler's step
 */
export function flowStep(
  x: Float64Array,
  velocity: ArrayLike<number>,
  from: number,
  to: number,
  fresh: ((at: number) => number) | null,
): void {
  const step = to - from;
  const spread = to > 0 ? Math.sqrt(-2 * from * step) : 0;
  for (let at = 0; at < x.length; at++) {
    const v = velocity[at]!;
    if (!fresh) x[at] = x[at]! + v * step;
    else x[at] = x[at]! + ((2 - from) * v + x[at]!) * step + (spread > 0 ? spread * fresh(at) : 0);
  }
}
