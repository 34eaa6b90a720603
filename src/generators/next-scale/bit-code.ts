import type { RngStream } from "../../core/rng.ts";
import type { TokenKind } from "../../core/tokens.ts";
import { type DrawSettings, drawBits } from "./draw-bits.ts";
import { type Grid, reduceArea, resizeBilinear } from "./resize.ts";
import type { DrawnTokens, TokenCode } from "./token-code.ts";

/** What the arithmetic between bits and latents depends on. */
export interface CodeLayout {
  /** Token grids [h, w] per scale. */
  readonly scales: readonly (readonly [number, number])[];
  /** Channels of the latent that the decoder reads. */
  readonly channels: number;
  /** Each token covers 2x2 latent cells: four times the channels on half the grid. */
  readonly patchify: boolean;
  /** Value of a set bit by scale and latent channel; a clear bit is its negative. */
  readonly magnitude: readonly (readonly number[])[];
}

/**
 * From bits to the cumulative code and on to the transformer's next input (Infinity section 3.1; residual multi-scale
 * quantisation with one sign per channel). Latents are [channels, h, w] at the full grid and never changed in place, so
 * candidates may share them.
 */
export class BitCode implements TokenCode {
  readonly #layout: CodeLayout;
  /** Full latent grid. */
  readonly latent: Grid;
  /** Bits per token. */
  readonly tokenChannels: number;

  constructor(layout: CodeLayout) {
    this.#layout = layout;
    this.latent = this.grid(layout.scales.length - 1);
    this.tokenChannels = layout.channels * (layout.patchify ? 4 : 1);
  }

  get kind(): TokenKind {
    return { kind: "bits", width: this.tokenChannels };
  }

  /** Number of scales. */
  get stages(): number {
    return this.#layout.scales.length;
  }

  get channels(): number {
    return this.#layout.channels;
  }

  /** Latent grid of a scale: its token grid, doubled with patchify. */
  grid(scale: number): Grid {
    const [h, w] = this.#layout.scales[scale]!;
    const factor = this.#layout.patchify ? 2 : 1;
    return { h: h * factor, w: w * factor };
  }

  tokenGrid(scale: number): Grid {
    const [h, w] = this.#layout.scales[scale]!;
    return { h, w };
  }

  tokens(scale: number): number {
    const [h, w] = this.#layout.scales[scale]!;
    return h * w;
  }

  /**
   * Cumulative code after a scale.
   *
   * @param before code after the scale before, or null at the first scale
   * @param bits   drawn bits, [h, w, tokenChannels]
   */
  add(before: Float32Array | null, bits: Uint8Array, scale: number): Float32Array {
    const grid = this.grid(scale);
    const { channels } = this.#layout;
    const values = new Float32Array(channels * grid.h * grid.w);
    this.#spread(scale, (token, tokenChannel, channel, cell) => {
      const magnitude = this.#layout.magnitude[scale]![channel]!;
      values[channel * grid.h * grid.w + cell] =
        bits[token * this.tokenChannels + tokenChannel] === 1 ? magnitude : -magnitude;
    });
    const sum = resizeBilinear(values, channels, grid, this.latent);
    if (before) for (let index = 0; index < sum.length; index++) sum[index]! += before[index]!;
    return sum;
  }

  /**
   * Transformer input of a scale, [h * w, tokenChannels]: the cumulative code at that scale's grid.
   *
   * @param out receives tokens(scale) * tokenChannels values
   */
  input(code: Float32Array, scale: number, out: Float32Array): void {
    const grid = this.grid(scale);
    const resized = resizeBilinear(code, this.#layout.channels, this.latent, grid);
    this.#spread(scale, (token, tokenChannel, channel, cell) => {
      out[token * this.tokenChannels + tokenChannel] = resized[channel * grid.h * grid.w + cell]!;
    });
  }

  /** Values of a scale's tokens on their own: the magnitude of each bit with its sign, [h * w, tokenChannels]. */
  values(bits: Uint8Array, scale: number): Float32Array {
    const out = new Float32Array(bits.length);
    this.#spread(scale, (token, tokenChannel, channel) => {
      const at = token * this.tokenChannels + tokenChannel;
      const magnitude = this.#layout.magnitude[scale]![channel]!;
      out[at] = bits[at] === 1 ? magnitude : -magnitude;
    });
    return out;
  }

  /**
   * Bits of a scale that have the signs of a latent at its grid; zero gives a clear bit.
   *
   * @param values [channels, h, w] at `grid(scale)`
   * @returns [h, w, tokenChannels] of the token grid
   */
  signs(values: Float32Array, scale: number): Uint8Array {
    const { h, w } = this.grid(scale);
    const bits = new Uint8Array(this.tokens(scale) * this.tokenChannels);
    this.#spread(scale, (token, tokenChannel, channel, cell) => {
      bits[token * this.tokenChannels + tokenChannel] = values[channel * h * w + cell]! > 0 ? 1 : 0;
    });
    return bits;
  }

  /** A smaller view is decoded from the averaged code (decision record 0004). */
  view(code: Float32Array, _scale: number, grid: Grid): Float32Array {
    return reduceArea(code, this.channels, this.latent, grid);
  }

  towards(latent: Float32Array, code: Float32Array | null, scale: number): Uint8Array {
    const missing = code ? latent.map((value, at) => value - code[at]!) : latent;
    return this.signs(reduceArea(missing, this.channels, this.latent, this.grid(scale)), scale);
  }

  draw(
    cond: Float32Array,
    uncond: Float32Array | null,
    how: DrawSettings,
    stream: RngStream,
    _scale: number,
    kept?: Uint8Array,
  ): DrawnTokens {
    const { bits, ...signals } = drawBits(cond, uncond, how, stream, kept);
    return { data: bits, ...signals };
  }

  /**
   * Visits every bit of a scale with its place in the token layout and in the latent. With patchify, token channel
   * c * 4 + 2 * dy + dx belongs to latent channel c at (2y + dy, 2x + dx).
   */
  #spread(
    scale: number,
    visit: (token: number, tokenChannel: number, channel: number, cell: number) => void,
  ): void {
    const [h, w] = this.#layout.scales[scale]!;
    const side = this.#layout.patchify ? 2 : 1;
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        for (let index = 0; index < this.tokenChannels; index++) {
          const part = index % (side * side);
          const channel = (index - part) / (side * side);
          const dy = Math.floor(part / side);
          const dx = part % side;
          visit(y * w + x, index, channel, (y * side + dy) * w * side + x * side + dx);
        }
      }
    }
  }
}
