import type { Grid } from "./resize.ts";

/** Latent cells that are decoded at once, at least one picture: bounds the decoder's activations. */
const CELLS_AT_ONCE = 1024;

/** Pictures of a size that are decoded at once. */
export function viewsAtOnce({ h, w }: Grid): number {
  return Math.max(1, Math.floor(CELLS_AT_ONCE / (h * w)));
}

/** Full pictures that are decoded at once; fractions count cells. */
export function fullViewsAtOnce({ h, w }: Grid): number {
  return CELLS_AT_ONCE / (h * w);
}
