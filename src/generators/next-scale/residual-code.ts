import type { RngStream } from "../../core/rng.ts";
import type { TokenKind } from "../../core/tokens.ts";
import { resizeBicubic } from "./bicubic.ts";
import type { DrawSettings } from "./draw-bits.ts";
import { type Codebook, drawIndices } from "./draw-index.ts";
import { type Grid, reduceArea } from "./resize.ts";
import type { DrawnTokens, TokenCode } from "./token-code.ts";

/** What the arithmetic between codebook entries and latents depends on. */
export interface ResidualLayout {
  /** Token grids [h, w] by scale; the last one is the latent's. */
  readonly scales: readonly (readonly [number, number])[];
  readonly codebook: Codebook;
  /** Shared convolutions, [d, d, 3, 3] and [d] each, and which of them each scale uses. */
  readonly phis: readonly { readonly weight: Float32Array; readonly bias: Float32Array }[];
  readonly phiOf: readonly number[];
}

/**
 * VAR's residual quantiser (section 3.2): every scale's entries are resized bicubically to the full grid, passed through
 * phi(x) = x / 2 + conv(x) / 2 and added up; the next input is the sum, area-averaged.
 */
export class ResidualCode implements TokenCode {
  readonly #layout: ResidualLayout;
  readonly #smooth: boolean;

  /** @param smooth blend entries instead of taking the drawn one (`more_smooth`) */
  constructor(layout: ResidualLayout, smooth = false) {
    this.#layout = layout;
    this.#smooth = smooth;
  }

  get kind(): TokenKind {
    return { kind: "index", size: this.#layout.codebook.size };
  }

  get stages(): number {
    return this.#layout.scales.length;
  }

  get channels(): number {
    return this.#layout.codebook.channels;
  }

  get tokenChannels(): number {
    return this.channels;
  }

  get latent(): Grid {
    return this.tokenGrid(this.stages - 1);
  }

  tokenGrid(scale: number): Grid {
    const [h, w] = this.#layout.scales[scale]!;
    return { h, w };
  }

  tokens(scale: number): number {
    const { h, w } = this.tokenGrid(scale);
    return h * w;
  }

  vectorsOf(data: Int32Array): Float32Array {
    const { channels, vectors } = this.#layout.codebook;
    const out = new Float32Array(data.length * channels);
    data.forEach((entry, token) => {
      out.set(vectors.subarray(entry * channels, (entry + 1) * channels), token * channels);
    });
    return out;
  }

  add(
    before: Float32Array | null,
    data: Int32Array,
    scale: number,
    vectors: Float32Array = this.vectorsOf(data),
  ): Float32Array {
    const { channels } = this;
    const count = this.tokens(scale);
    const planes = new Float32Array(channels * count);
    for (let token = 0; token < count; token++) {
      for (let channel = 0; channel < channels; channel++) {
        planes[channel * count + token] = vectors[token * channels + channel]!;
      }
    }
    const full = resizeBicubic(planes, channels, this.tokenGrid(scale), this.latent);
    const sum = this.#phi(full, scale);
    if (before) for (let at = 0; at < sum.length; at++) sum[at]! += before[at]!;
    return sum;
  }

  input(code: Float32Array, scale: number, out: Float32Array): void {
    const reduced = reduceArea(code, this.channels, this.latent, this.tokenGrid(scale));
    const count = this.tokens(scale);
    for (let token = 0; token < count; token++) {
      for (let channel = 0; channel < this.channels; channel++) {
        out[token * this.channels + channel] = reduced[channel * count + token]!;
      }
    }
  }

  view(code: Float32Array, _scale: number, grid: Grid): Float32Array {
    return reduceArea(code, this.channels, this.latent, grid);
  }

  /** The nearest entries to what is missing, averaged over the scale's cells; plain L2, the first of equals. */
  towards(latent: Float32Array, code: Float32Array | null, scale: number): Int32Array {
    const missing = code ? latent.map((value, at) => value - code[at]!) : latent;
    const count = this.tokens(scale);
    const cells = reduceArea(missing, this.channels, this.latent, this.tokenGrid(scale));
    const { size, vectors } = this.#layout.codebook;
    return Int32Array.from({ length: count }, (_, token) => {
      let best = 0;
      let least = Number.POSITIVE_INFINITY;
      for (let entry = 0; entry < size; entry++) {
        let distance = 0;
        for (let channel = 0; channel < this.channels; channel++) {
          const difference = cells[channel * count + token]! - vectors[entry * this.channels + channel]!;
          distance += difference * difference;
        }
        if (distance < least) [least, best] = [distance, entry];
      }
      return best;
    });
  }

  draw(
    cond: Float32Array,
    uncond: Float32Array | null,
    how: DrawSettings,
    stream: RngStream,
    scale: number,
    kept?: Int32Array,
  ): DrawnTokens {
    const smooth = this.#smooth ? scale / (this.stages - 1) : null;
    return drawIndices(cond, uncond, how, stream, this.#layout.codebook, smooth, kept);
  }

  /** x / 2 + conv3x3(x) / 2 on [channels, h, w], padded with zeros. */
  #phi(x: Float32Array, scale: number): Float32Array {
    const { h, w } = this.latent;
    const { channels } = this;
    const { weight, bias } = this.#layout.phis[this.#layout.phiOf[scale]!]!;
    const out = new Float32Array(x.length);
    const plane = new Float64Array(h * w);
    for (let to = 0; to < channels; to++) {
      plane.fill(bias[to]!);
      for (let from = 0; from < channels; from++) {
        const kernel = (to * channels + from) * 9;
        for (let tap = 0; tap < 9; tap++) {
          const factor = weight[kernel + tap]!;
          if (factor === 0) continue;
          const [dy, dx] = [Math.floor(tap / 3) - 1, (tap % 3) - 1];
          for (let y = Math.max(0, -dy); y < Math.min(h, h - dy); y++) {
            const row = from * h * w + (y + dy) * w + dx;
            for (let column = Math.max(0, -dx); column < Math.min(w, w - dx); column++) {
              plane[y * w + column]! += factor * x[row + column]!;
            }
          }
        }
      }
      for (let at = 0; at < h * w; at++) out[to * h * w + at] = 0.5 * x[to * h * w + at]! + 0.5 * plane[at]!;
    }
    return out;
  }
}
