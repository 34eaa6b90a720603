import type { Detection } from "./detection.ts";

/**
 * Greedy non-maximum suppression: of detections of one label that overlap by `iou` or more (intersection over union), the
 * best stays. Models that are trained to give one box an object (DETR and its kin) do without it.
 *
 * @param found best first
 */
export function suppressOverlaps(found: readonly Detection[], iou: number): Detection[] {
  const kept: Detection[] = [];
  for (const detection of found) {
    const hidden = kept.some(
      ({ label, box }) => label === detection.label && overlap(box, detection.box) >= iou,
    );
    if (!hidden) kept.push(detection);
  }
  return kept;
}

type Box = Detection["box"];

function overlap(a: Box, b: Box): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(0, width) * Math.max(0, height);
  const all = area(a) + area(b) - shared;
  return all > 0 ? shared / all : 0;
}

function area([x0, y0, x1, y1]: Box): number {
  return (x1 - x0) * (y1 - y0);
}
