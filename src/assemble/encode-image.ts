import { TtsVarError } from "../core/errors.ts";
import type { ShapeWish } from "../core/generator.ts";
import { packTokens, type TokensFile } from "../generators/tokens-file.ts";
import { cropToSize, decodePng } from "../io/png.ts";
import { findGenerator } from "./find-generator.ts";

/**
 * An image file as tokens of a model. The ratio that the model has nearest to the image's is taken unless one is asked for;
 * the image is then scaled (Lanczos) and cropped around its centre, as Infinity prepares images.
 *
 * @throws TtsVarError EVAL_DATA if it is no image, CONFIG_INVALID if the model has no such size or no encoder, and what
 *   finding and opening a model throw
 */
export async function encodeImageFile(
  path: string,
  model: string,
  wish: ShapeWish,
): Promise<{ readonly file: TokensFile; readonly width: number; readonly height: number }> {
  const { definition } = await findGenerator(model);
  const image = await decodePng(path);
  const open = wish.id === undefined && wish.ratio === undefined && !/x/i.test(wish.size ?? "");
  const own = { ...wish, ratio: `${image.width}:${image.height}` };
  // A model may have nothing near the image's ratio; then its default is as good as any.
  const shape = open
    ? await definition.describe({ shape: own }).then(
        () => own,
        () => wish,
      )
    : wish;
  const generator = await definition.open({ shape }, { inProcess: true });
  try {
    if (!generator.encode) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `${generator.traits.name} has no image encoder; export the model again with vae_encode, or choose another --model`,
      );
    }
    const { width, height } = generator.traits.shape;
    const tokens = await generator.encode(await cropToSize(image, width, height));
    return { file: packTokens(generator.traits, tokens), width, height };
  } finally {
    await generator[Symbol.asyncDispose]();
  }
}
