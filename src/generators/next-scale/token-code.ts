import type { RngStream } from "../../core/rng.ts";
import type { TokenKind, Tokens } from "../../core/tokens.ts";
import type { DrawSettings } from "./draw-bits.ts";
import type { Grid } from "./resize.ts";

/** Tokens of one candidate at one scale, with the signals that come for free (`drawBits` says what they are). */
export interface DrawnTokens {
  readonly data: Tokens["data"];
  /** What stands for the tokens in the code instead of themselves, [tokens, channels]; absent: the tokens. */
  readonly vectors?: Float32Array;
  readonly logProb: number;
  readonly entropy: number;
  readonly guidanceGap: number;
  /** The log-probability by token, where tokens are asked for. */
  readonly byToken?: Float64Array;
}

/**
 * What a next-scale model's tokens mean: from logits to tokens, from tokens to the code of a candidate, and on to the
 * transformer's next input and the decoder's latent. Codes are never changed in place, so candidates may share them.
 */
export interface TokenCode {
  readonly kind: TokenKind;
  /** Number of scales. */
  readonly stages: number;
  /** Channels of the latent that the decoder reads. */
  readonly channels: number;
  /** Channels of the transformer's input tokens. */
  readonly tokenChannels: number;
  /** Full latent grid. */
  readonly latent: Grid;
  /** Token grid of a scale. */
  tokenGrid(scale: number): Grid;
  tokens(scale: number): number;
  /** Code after a scale; `before` is null at the first one. */
  add(before: Float32Array | null, data: Tokens["data"], scale: number, vectors?: Float32Array): Float32Array;
  /** Transformer input of a scale from the code after the one before, [tokens, tokenChannels], written to `out`. */
  input(code: Float32Array, scale: number, out: Float32Array): void;
  /** Latent to decode at a grid, [channels, h, w], when `scale` was the last one done. */
  view(code: Float32Array, scale: number, grid: Grid): Float32Array;
  /** Tokens of a scale that bring a code nearer to a latent, [channels, h, w] at the full grid. */
  towards(latent: Float32Array, code: Float32Array | null, scale: number): Tokens["data"];
  /** The tokens as the transformer would read them, for masked passes, [tokens, tokenChannels]. */
  values?(data: Tokens["data"], scale: number): Float32Array;
  /** What tokens stand for, [tokens, channels]; of codes whose draws may give other vectors than the tokens'. */
  vectorsOf?(data: Tokens["data"]): Float32Array;
  /**
   * Draws the tokens of a scale; see `drawBits`.
   *
   * @param kept tokens to take instead
   * @throws RangeError if a logit is not finite
   */
  draw(
    cond: Float32Array,
    uncond: Float32Array | null,
    how: DrawSettings,
    stream: RngStream,
    scale: number,
    kept?: Tokens["data"],
  ): DrawnTokens;
}
