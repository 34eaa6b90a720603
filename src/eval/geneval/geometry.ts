import type { Relation } from "./vocabulary.ts";

/** Corners in pixels: left, top, right, bottom. */
export type Box = readonly [x0: number, y0: number, x1: number, y1: number];

/**
 * Every relation that box `a` has to box `b` by GenEval's rule: the centres' offset, shortened per axis by
 * `threshold` times the sum of both extents, divided by the length of the *unshortened* offset; beyond half of it
 * counts. Diagonals give two relations, strongly overlapping boxes none.
 *
 * @param threshold GenEval's `position_threshold`, 0.1
 */
export function relationsOf(a: Box, b: Box, threshold: number): Relation[] {
  const dx = (a[0] + a[2]) / 2 - (b[0] + b[2]) / 2;
  const dy = (a[1] + a[3]) / 2 - (b[1] + b[3]) / 2;
  const shorten = (offset: number, extents: number): number =>
    Math.max(Math.abs(offset) - threshold * extents, 0) * Math.sign(offset);
  const shortX = shorten(dx, Math.abs(a[2] - a[0]) + Math.abs(b[2] - b[0]));
  const shortY = shorten(dy, Math.abs(a[3] - a[1]) + Math.abs(b[3] - b[1]));
  if (Math.abs(shortX) < 1e-3 && Math.abs(shortY) < 1e-3) return [];
  // Not Math.hypot, which rounds differently from numpy's norm where a share is exactly one half.
  const length = Math.sqrt(dx * dx + dy * dy);
  const x = shortX / length;
  const y = shortY / length;
  const found: Relation[] = [];
  if (y < -0.5) found.push("above");
  if (x < -0.5) found.push("left of");
  if (x > 0.5) found.push("right of");
  if (y > 0.5) found.push("below");
  return found;
}

/** Intersection over union with the convention that a box includes its last pixel (+1), as GenEval's NMS uses it. */
export function inclusiveIou(a: Box, b: Box): number {
  const shared = inclusiveArea([
    Math.max(a[0], b[0]),
    Math.max(a[1], b[1]),
    Math.min(a[2], b[2]),
    Math.min(a[3], b[3]),
  ]);
  const union = inclusiveArea(a) + inclusiveArea(b) - shared;
  return union === 0 ? 0 : shared / union;
}

function inclusiveArea(box: Box): number {
  return Math.max(box[2] - box[0] + 1, 0) * Math.max(box[3] - box[1] + 1, 0);
}
