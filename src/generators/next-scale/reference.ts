import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import type { MaskMode, Task } from "../../core/task.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { Grid } from "./resize.ts";
import type { TokenCode } from "./token-code.ts";

/** Scales of so few tokens are kept whole, as VAR's notebook for zero-shot editing does. */
const KEPT_WHOLE = 3;

/** Tokens of a scale after those of the reference were put in. */
export interface Kept {
  readonly data: Tokens["data"];
  readonly vectors?: Float32Array;
}

/**
 * A picture whose tokens are kept outside a mask (masked editing, VAR section 4.4). A token is kept if the mask leaves more
 * than half of its cell alone (VAR's notebook samples the mask bilinearly, which is the same for masks along cells).
 *
 * `paste` takes the tokens that the picture was encoded to. They are residuals of the picture's own coarse scales; where
 * those were drawn anew, `requantise` fits better: it takes the tokens that lead from the candidate's code to the picture.
 */
export class Reference {
  readonly #latent: Float32Array;
  readonly #mask: RgbImage;
  readonly #mode: MaskMode;
  readonly #tokens: readonly Tokens[];
  readonly #kept = new Map<number, Uint8Array>();

  /**
   * @param latent the picture as the encoder gives it, [channels, h, w] at the full grid
   * @param mask   white where tokens are drawn, of any size
   */
  constructor(latent: Float32Array, tokens: readonly Tokens[], mask: RgbImage, mode: MaskMode) {
    this.#latent = latent;
    this.#tokens = tokens;
    this.#mask = mask;
    this.#mode = mode;
  }

  /** A scale's drawn tokens with the kept ones in their places. */
  apply(
    code: TokenCode,
    scale: number,
    before: Float32Array | null,
    drawn: Tokens["data"],
    vectors?: Float32Array,
  ): Kept {
    const kept = this.#keptAt(scale, code.tokenGrid(scale));
    const own =
      this.#mode === "paste" ? this.#tokens[scale]!.data : code.towards(this.#latent, before, scale);
    const data = drawn.slice();
    const width = data.length / kept.length;
    kept.forEach((keep, token) => {
      if (keep === 1) data.set(own.subarray(token * width, (token + 1) * width), token * width);
    });
    if (!vectors) return { data };
    const replaced = code.vectorsOf?.(data);
    if (!replaced) return { data };
    const channels = vectors.length / kept.length;
    const mixed = vectors.slice();
    kept.forEach((keep, token) => {
      const part = [token * channels, (token + 1) * channels] as const;
      if (keep === 1) mixed.set(replaced.subarray(...part), part[0]);
    });
    return { data, vectors: mixed };
  }

  /** 1 for tokens that are kept. */
  #keptAt(scale: number, grid: Grid): Uint8Array {
    const known = this.#kept.get(scale);
    if (known) return known;
    const share = drawnShare(this.#mask, grid);
    const all = grid.h * grid.w <= KEPT_WHOLE;
    const kept = Uint8Array.from(share, (drawn) => (all || 1 - drawn > 0.5 ? 1 : 0));
    this.#kept.set(scale, kept);
    return kept;
  }
}

/** Share of every cell that is to be drawn, in [0, 1]: the mask's brightness, averaged over the cell. */
function drawnShare({ width, height, data }: RgbImage, { h, w }: Grid): Float32Array {
  const share = new Float32Array(h * w);
  for (let y = 0; y < h; y++) {
    const rows = [Math.floor((y * height) / h), Math.ceil(((y + 1) * height) / h)] as const;
    for (let x = 0; x < w; x++) {
      const columns = [Math.floor((x * width) / w), Math.ceil(((x + 1) * width) / w)] as const;
      let sum = 0;
      for (let row = rows[0]; row < rows[1]; row++) {
        for (let column = columns[0]; column < columns[1]; column++) sum += data[(row * width + column) * 3]!;
      }
      share[y * w + x] = sum / 255 / ((rows[1] - rows[0]) * (columns[1] - columns[0]));
    }
  }
  return share;
}

/**
 * The reference of a task with a source, or null.
 *
 * @throws TtsVarError CONFIG_INVALID for a source without a mask, or a mask that leaves nothing to draw, or nothing to keep
 */
export async function referenceOf(
  { source, mask, maskMode = "requantise" }: Task,
  latentOf: (image: RgbImage) => Promise<Float32Array>,
  tokensOf: (latent: Float32Array) => readonly Tokens[],
): Promise<Reference | null> {
  if (!source) return null;
  if (!mask) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      "this generator edits by a mask: give one with --mask, or choose a --model that edits by instruction",
    );
  }
  checkMask(mask, source);
  const latent = await latentOf(source);
  return new Reference(latent, tokensOf(latent), mask, maskMode);
}

function checkMask(mask: RgbImage, source: RgbImage): void {
  if (mask.width !== source.width || mask.height !== source.height) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `the mask is ${mask.width}x${mask.height}, the image ${source.width}x${source.height}; they must be alike`,
    );
  }
  const white = mask.data.some((value) => value >= 128);
  const black = mask.data.some((value) => value < 128);
  if (white && black) return;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `the mask is ${white ? "white" : "black"} everywhere; white is what is drawn anew, black is what is kept`,
  );
}
