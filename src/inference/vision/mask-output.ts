import type { Tensor } from "../../core/tensor.ts";
import type { Detection } from "./detection.ts";

/** Pairs of query and class that are kept per image, as in mmdetection's instance mode. */
const maxPairs = 100;

/**
 * Instances of one image from the raw outputs of a mask classifier (MaskFormer, Mask2Former), as mmdetection makes
 * them: every (query, class) pair counts, its score is the class's probability times the mean probability of the mask's
 * pixels, its box is the mask's. The stock panoptic post-processing would drop overlapping objects.
 *
 * @param classes [1, queries, classes + 1] logits, "no object" last
 * @param masks   [1, queries, h, w] logits that cover the whole image
 */
export function readMasks(
  { classes, masks }: { readonly classes: Tensor; readonly masks: Tensor },
  labels: readonly string[],
  image: { readonly width: number; readonly height: number },
  minimumScore: number,
): Detection[] {
  const [, queries, columns] = classes.dims as [number, number, number];
  const [, , h, w] = masks.dims as [number, number, number, number];
  const pairs: { query: number; label: string; probability: number }[] = [];
  for (let query = 0; query < queries; query++) {
    const probabilities = softmax(classes.data.subarray(query * columns, (query + 1) * columns));
    for (let index = 0; index < Math.min(labels.length, columns - 1); index++) {
      // A mask can only lower the score.
      if (probabilities[index]! < minimumScore) continue;
      pairs.push({ query, label: labels[index]!, probability: probabilities[index]! });
    }
  }
  pairs.sort((a, b) => b.probability - a.probability);
  const drawn = new Map<number, Drawn | null>();
  const found: Detection[] = [];
  for (const { query, label, probability } of pairs.slice(0, maxPairs)) {
    if (!drawn.has(query)) {
      drawn.set(query, drawMask(masks.data.subarray(query * h * w, (query + 1) * h * w), h, w, image));
    }
    const shape = drawn.get(query);
    const score = probability * (shape?.certainty ?? 0);
    if (shape && score >= minimumScore) found.push({ label, score, box: shape.box, mask: shape.mask });
  }
  return found.sort((a, b) => b.score - a.score);
}

interface Drawn {
  readonly mask: Uint8Array;
  readonly box: readonly [number, number, number, number];
  /** Mean probability of the pixels inside. */
  readonly certainty: number;
}

/** A mask at the image's size: bilinear logits (pixel centres aligned), inside where positive; null if empty. */
function drawMask(
  logits: Float32Array,
  h: number,
  w: number,
  { width, height }: { readonly width: number; readonly height: number },
): Drawn | null {
  const mask = new Uint8Array(width * height);
  let [left, top, right, bottom] = [width, height, -1, -1];
  let inside = 0;
  let sum = 0;
  const columns = Array.from({ length: width }, (_, x) => sourceOf(x, width, w));
  for (let y = 0; y < height; y++) {
    const row = sourceOf(y, height, h);
    for (let x = 0; x < width; x++) {
      const column = columns[x]!;
      const upper = mix(logits[row.low * w + column.low]!, logits[row.low * w + column.high]!, column.share);
      const lower = mix(
        logits[row.high * w + column.low]!,
        logits[row.high * w + column.high]!,
        column.share,
      );
      const value = mix(upper, lower, row.share);
      if (!(value > 0)) continue;
      mask[y * width + x] = 1;
      inside++;
      sum += 1 / (1 + Math.exp(-value));
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return inside === 0 ? null : { mask, box: [left, top, right + 1, bottom + 1], certainty: sum / inside };
}

/** The two source cells around a pixel's centre, and how far it is towards the second. */
function sourceOf(
  pixel: number,
  pixels: number,
  cells: number,
): { low: number; high: number; share: number } {
  const at = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
  const low = Math.floor(at);
  return { low, high: Math.min(low + 1, cells - 1), share: at - low };
}

function mix(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

function softmax(row: Float32Array): number[] {
  const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Array.from(row, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((value) => value / sum);
}
