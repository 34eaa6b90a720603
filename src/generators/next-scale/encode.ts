import { TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import type { BitCode } from "./bit-code.ts";
import { reduceArea } from "./resize.ts";
import type { TokenCode } from "./token-code.ts";

/**
 * Residual quantisation of a latent (Infinity section 3.1, `BSQ` over scales): at every scale the signs of what is still
 * missing, averaged over the scale's cells, are the bits, and what they stand for is taken away. A mean of exactly 0
 * gives a clear bit.
 *
 * @param features latent of the encoder, [channels, h, w] at the full grid
 * @returns bits by scale, [h, w, tokenChannels]
 */
export function quantise(code: BitCode, features: Float32Array): Uint8Array[] {
  const residual = features.slice();
  return Array.from({ length: code.stages }, (_, scale) => {
    const bits = code.signs(reduceArea(residual, code.channels, code.latent, code.grid(scale)), scale);
    const known = code.add(null, bits, scale);
    for (let at = 0; at < residual.length; at++) residual[at]! -= known[at]!;
    return bits;
  });
}

/**
 * From images to latents, [channels, h, w] at the full grid, through a model's encoder graph, which is opened when first
 * used.
 *
 * @param stride pixels per latent cell
 */
export function latentEncoder(
  open: () => Promise<OrtSession>,
  code: TokenCode,
  stride: number,
): (image: RgbImage) => Promise<Float32Array> {
  let opening: Promise<OrtSession> | undefined;
  const [width, height] = [code.latent.w * stride, code.latent.h * stride];
  return async (image) => {
    if (image.width !== width || image.height !== height) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `the encoder takes images of ${width}x${height}, not ${image.width}x${image.height}`,
      );
    }
    opening ??= open();
    const { features } = await (await opening).run({ image: toTensor(image) }, ["features"]);
    return features!.data;
  };
}

/** From images to tokens, as `latentEncoder` and `quantise` do. */
export function createEncoder(
  open: () => Promise<OrtSession>,
  code: BitCode,
  stride: number,
): (image: RgbImage) => Promise<Tokens[]> {
  const latent = latentEncoder(open, code, stride);
  return async (image) =>
    quantise(code, await latent(image)).map((data, scale) => ({ count: code.tokens(scale), data }));
}

/** [1, 3, height, width] in [-1, 1]. */
export function toTensor({ width, height, data }: RgbImage): Tensor {
  const pixels = width * height;
  const planes = new Float32Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      planes[channel * pixels + pixel] = Math.fround(data[pixel * 3 + channel]! / 255) * 2 - 1;
    }
  }
  return { dims: [1, 3, height, width], data: planes };
}
