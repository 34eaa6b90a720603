import type { Tensor } from "../../core/tensor.ts";
import type { Detection } from "./detection.ts";

/** Model types whose class logits are independent (sigmoid); all others end with a "no object" column (softmax). */
const SIGMOID_TYPES = new Set([
  "rt_detr",
  "rt_detr_v2",
  "d_fine",
  "rf_detr",
  "deformable_detr",
  "grounding-dino",
]);

/** How a model writes detections. */
export interface DetectorLayout {
  readonly modelType: string;
  readonly labels: readonly string[];
}

/**
 * Detections of one image from the raw outputs of a DETR-like model, as Python's post-processing makes them: softmax
 * models give each query its best class; of sigmoid models every (query, class) pair counts, as many of the best as there
 * are queries. transformers.js's own post-processing takes every model for a softmax one, cuts boxes to integers and
 * drops other outputs.
 *
 * @param logits [1, queries, classes] (sigmoid) or [1, queries, classes + 1] (softmax)
 * @param boxes  [1, queries, 4]: centre, width and height as fractions of the image
 * @param colors [1, queries, colours] logits, or null
 */
export function readDetections(
  { logits, boxes, colors }: { logits: Tensor; boxes: Tensor; colors: Tensor | null },
  layout: DetectorLayout,
  image: { readonly width: number; readonly height: number },
  minimumScore: number,
): Detection[] {
  const [, queries, columns] = logits.dims as [number, number, number];
  const readQuery = SIGMOID_TYPES.has(layout.modelType) ? everyClass : bestClass;
  const pairs: (ClassScore & { readonly query: number })[] = [];
  for (let query = 0; query < queries; query++) {
    const row = logits.data.subarray(query * columns, (query + 1) * columns);
    for (const found of readQuery(row, layout.labels.length, minimumScore)) pairs.push({ query, ...found });
  }
  pairs.sort((a, b) => b.score - a.score);
  const colorCount = colors?.dims[2] ?? 0;
  return pairs.slice(0, queries).map(({ query, index, score }) => ({
    label: layout.labels[index]!,
    score,
    box: toPixels(boxes.data.subarray(query * 4, query * 4 + 4), image),
    ...(colors
      ? { colors: softmax(colors.data.subarray(query * colorCount, (query + 1) * colorCount)) }
      : {}),
  }));
}

interface ClassScore {
  readonly index: number;
  readonly score: number;
}

function everyClass(row: Float32Array, labels: number, minimumScore: number): ClassScore[] {
  const found: ClassScore[] = [];
  const end = Math.min(labels, row.length);
  for (let index = 0; index < end; index++) {
    const score = 1 / (1 + Math.exp(-row[index]!));
    if (score >= minimumScore) found.push({ index, score });
  }
  return found;
}

/** The last column is "no object". */
function bestClass(row: Float32Array, labels: number, minimumScore: number): ClassScore[] {
  const index = argmax(row, Math.min(labels, row.length - 1));
  const score = softmax(row)[index]!;
  return score >= minimumScore ? [{ index, score }] : [];
}

function argmax(row: Float32Array, count: number): number {
  let best = 0;
  for (let index = 1; index < count; index++) if (row[index]! > row[best]!) best = index;
  return best;
}

function softmax(row: Float32Array): Float32Array {
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Array.from(row, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (value) => value / sum);
}

function toPixels(
  box: Float32Array,
  { width, height }: { width: number; height: number },
): [number, number, number, number] {
  const [x, y, w, h] = box as unknown as [number, number, number, number];
  const cut = (value: number, limit: number) => Math.min(limit, Math.max(0, value * limit));
  return [cut(x - w / 2, width), cut(y - h / 2, height), cut(x + w / 2, width), cut(y + h / 2, height)];
}
