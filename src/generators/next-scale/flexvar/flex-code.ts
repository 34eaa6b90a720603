import type { RngStream } from "../../../core/rng.ts";
import type { TokenKind } from "../../../core/tokens.ts";
import { type DrawSettings, drawBits } from "../draw-bits.ts";
import { type Grid, reduceArea, resizeBilinear } from "../resize.ts";
import type { DrawnTokens, TokenCode } from "../token-code.ts";

/**
 * FlexVAR's maps (2502.20313, section 3): every scale draws the whole picture at its own grid, nothing is added up. The code
 * after a scale is that map alone, at that grid; the next input is the map, resized.
 */
export class FlexCode implements TokenCode {
  readonly #scales: readonly Grid[];
  /** Value of a set bit by channel, for squares of side 1, 2, ... */
  readonly #magnitude: readonly (readonly number[])[];

  constructor(scales: readonly Grid[], magnitude: readonly (readonly number[])[]) {
    this.#scales = scales;
    this.#magnitude = magnitude;
  }

  get kind(): TokenKind {
    return { kind: "bits", width: this.channels };
  }

  get stages(): number {
    return this.#scales.length;
  }

  get channels(): number {
    return this.#magnitude[0]!.length;
  }

  get tokenChannels(): number {
    return this.channels;
  }

  get latent(): Grid {
    return this.#scales.at(-1)!;
  }

  tokenGrid(scale: number): Grid {
    return this.#scales[scale]!;
  }

  tokens(scale: number): number {
    const { h, w } = this.#scales[scale]!;
    return h * w;
  }

  add(_before: Float32Array | null, bits: Uint8Array, scale: number): Float32Array {
    const magnitude = this.#magnitudeOf(this.#scales[scale]!);
    const count = this.tokens(scale);
    const code = new Float32Array(this.channels * count);
    for (let token = 0; token < count; token++) {
      for (let channel = 0; channel < this.channels; channel++) {
        const size = magnitude[channel]!;
        code[channel * count + token] = bits[token * this.channels + channel] === 1 ? size : -size;
      }
    }
    return code;
  }

  input(code: Float32Array, scale: number, out: Float32Array): void {
    const resized = resizeBilinear(code, this.channels, this.#scales[scale - 1]!, this.#scales[scale]!);
    const count = this.tokens(scale);
    for (let token = 0; token < count; token++) {
      for (let channel = 0; channel < this.channels; channel++) {
        out[token * this.channels + channel] = resized[channel * count + token]!;
      }
    }
  }

  /** At the map's own grid nothing is resized: a native preview. */
  view(code: Float32Array, scale: number, grid: Grid): Float32Array {
    const own = this.#scales[scale]!;
    if (grid.h <= own.h && grid.w <= own.w) return reduceArea(code, this.channels, own, grid);
    return resizeBilinear(code, this.channels, own, grid);
  }

  towards(latent: Float32Array, _code: Float32Array | null, scale: number): Uint8Array {
    const cells = reduceArea(latent, this.channels, this.latent, this.#scales[scale]!);
    const count = this.tokens(scale);
    const bits = new Uint8Array(count * this.channels);
    for (let token = 0; token < count; token++) {
      for (let channel = 0; channel < this.channels; channel++) {
        bits[token * this.channels + channel] = cells[channel * count + token]! > 0 ? 1 : 0;
      }
    }
    return bits;
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

  /** Of the square with the nearest number of cells; the smaller one of equals. */
  #magnitudeOf({ h, w }: Grid): readonly number[] {
    let best = 0;
    this.#magnitude.forEach((_, index) => {
      const distance = (side: number) => Math.abs((side + 1) ** 2 - h * w);
      if (distance(index) < distance(best)) best = index;
    });
    return this.#magnitude[best]!;
  }
}
