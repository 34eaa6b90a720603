import { TtsVarError } from "../../core/errors.ts";
import { type Shape, sidesOf, type View } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import { rowOf } from "../../core/tensor.ts";
import type { OrtSession } from "../../inference/runtime/ort-session.ts";
import { toTensor } from "../next-scale/encode.ts";
import { reduceArea } from "../next-scale/resize.ts";
import { toImage } from "../next-scale/to-image.ts";
import { viewsAtOnce } from "../next-scale/views-at-once.ts";

/** Graphs between tokens and pixels. The first two are the family's own, the others the autoencoder's. */
export interface LatentGraphs {
  /** token [n, values, side, side] -> latent [n, channels, side, side] */
  readonly widen: OrtSession;
  readonly decoder: OrtSession;
  /** A draft decoder, opened when first used; absent: there is none. */
  readonly draft?: () => Promise<OrtSession>;
  /** From pixels to tokens, opened when first used; absent: the model cannot read pictures. */
  readonly encoder?: () => Promise<{ readonly encoder: OrtSession; readonly narrow: OrtSession }>;
}

/**
 * The latents that canvas families draw: tokens of a few values over an autoencoder that has more channels. A canvas is
 * [values, side, side], channel by channel.
 */
export class LatentSpace {
  readonly #graphs: LatentGraphs;
  readonly #shape: Shape;
  readonly #values: number;
  #draft: Promise<OrtSession> | undefined;
  #encoder: ReturnType<NonNullable<LatentGraphs["encoder"]>> | undefined;

  constructor(graphs: LatentGraphs, shape: Shape, values: number) {
    this.#graphs = graphs;
    this.#shape = shape;
    this.#values = values;
  }

  /** Pictures of canvases at the size of a view. */
  async pictures(canvases: readonly Float32Array[], view: View): Promise<RgbImage[]> {
    const { grain, width } = this.#shape;
    const side = width / grain;
    const whole = { h: side, w: side };
    const sides = sidesOf(this.#shape, view.size);
    const size = { h: sides.height / grain, w: sides.width / grain };
    const block = viewsAtOnce(whole);
    const decoder = await this.#decoderOf(view);
    const images: RgbImage[] = [];
    for (let start = 0; start < canvases.length; start += block) {
      const part = canvases.slice(start, start + block);
      const data = new Float32Array(part.length * this.#values * side * side);
      part.forEach((canvas, at) => {
        data.set(canvas, at * canvas.length);
      });
      const token = { dims: [part.length, this.#values, side, side], data };
      const { latent } = await this.#graphs.widen.run({ token }, ["latent"]);
      const channels = latent!.dims[1]!;
      const reduced = new Float32Array(part.length * channels * size.h * size.w);
      part.forEach((_, at) => {
        reduced.set(reduceArea(rowOf(latent!, at), channels, whole, size), at * channels * size.h * size.w);
      });
      const { image } = await decoder.run(
        { latent: { dims: [part.length, channels, size.h, size.w], data: reduced } },
        ["image"],
      );
      for (let at = 0; at < part.length; at++) images.push(toImage(image!, at));
    }
    return images;
  }

  async #decoderOf({ quality }: View): Promise<OrtSession> {
    if (quality !== "draft") return this.#graphs.decoder;
    if (!this.#graphs.draft) throw new TtsVarError("CONFIG_INVALID", "this model has no draft decoder");
    this.#draft ??= this.#graphs.draft();
    return this.#draft;
  }

  /**
   * The canvas of a picture.
   *
   * @throws TtsVarError CONFIG_INVALID for a picture of another size, or a model that cannot read pictures
   */
  async canvas(image: RgbImage): Promise<Float32Array> {
    const { width, height } = this.#shape;
    if (image.width !== width || image.height !== height) {
      throw new TtsVarError(
        "CONFIG_INVALID",
        `the encoder takes images of ${width}x${height}, not ${image.width}x${image.height}`,
      );
    }
    if (!this.#graphs.encoder) throw new TtsVarError("CONFIG_INVALID", "this model has no encoder");
    this.#encoder ??= this.#graphs.encoder();
    const { encoder, narrow } = await this.#encoder;
    const { features } = await encoder.run({ image: toTensor(image) }, ["features"]);
    const { token } = await narrow.run({ latent: features! }, ["token"]);
    return token!.data;
  }
}
