/** How a canvas is taken apart: anti-diagonals at once (of clips planes), or rows one token after the other. */
export type Grouping = "diagonal" | "raster";

/** A group of positions that are drawn at once, and from where each of them is predicted. */
export interface Group {
  /** Row-major positions. */
  readonly positions: readonly number[];
  /**
   * For each position its neighbours by axis, as places in the order of drawing; -1 where there is none. The corner is
   * predicted by all heads at place 0, which is the start of the sequence; place n + 1 holds the n-th token drawn.
   */
  readonly sources: readonly (readonly number[])[];
}

/**
 * Groups of a grid of any number of axes (images: height, width; clips: time, height, width) whose members have equal
 * sums of coordinates: anti-diagonals, or planes t + h + w (NAR).
 */
export function diagonalGroups(sides: readonly number[]): Group[] {
  const strides = sides.map((_, axis) => sides.slice(axis + 1).reduce((product, side) => product * side, 1));
  const positions = Array.from({ length: strides[0]! * sides[0]! }, (_, position) => position);
  const coordinate = (position: number, axis: number): number =>
    Math.floor(position / strides[axis]!) % sides[axis]!;
  const distance = (position: number): number =>
    sides.reduce((sum, _, axis) => sum + coordinate(position, axis), 0);
  const last = sides.reduce((sum, side) => sum + side - 1, 0);
  const groups = Array.from({ length: last + 1 }, (_, group) =>
    positions.filter((position) => distance(position) === group),
  );
  const place = new Map(groups.flat().map((position, at) => [position, at + 1]));
  // The last axis runs to the right, the one before it down: heads are listed from the last axis to the first.
  const axes = [...sides.keys()].reverse();
  const sourcesOf = (position: number): number[] =>
    position === 0
      ? axes.map(() => 0)
      : axes.map((axis) => (coordinate(position, axis) > 0 ? place.get(position - strides[axis]!)! : -1));
  return groups.map((group) => ({ positions: group, sources: group.map(sourcesOf) }));
}

/** Every token by itself, predicted by the one before it. */
function rasterGroups(count: number): Group[] {
  return Array.from({ length: count }, (_, position) => ({ positions: [position], sources: [[position]] }));
}

/** Stages of a square canvas or of a clip of them, each of groups that are drawn one after the other. */
export function stagesOf(grouping: Grouping, side: number, frames = 1): Group[][] {
  if (grouping === "diagonal") {
    return diagonalGroups(frames === 1 ? [side, side] : [frames, side, side]).map((group) => [group]);
  }
  const groups = rasterGroups(side * side);
  return Array.from({ length: side }, (_, row) => groups.slice(row * side, (row + 1) * side));
}

/** Positions of a stage, in the order of drawing. */
export function positionsOf(groups: readonly Group[]): number[] {
  return groups.flatMap(({ positions }) => positions);
}
