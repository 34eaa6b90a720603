import { TtsVarError } from "../../../core/errors.ts";
import type { Quality } from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Task } from "../../../core/task.ts";
import type { Tensor } from "../../../core/tensor.ts";
import type { GraphNetwork, InfinityState } from "../infinity/graph-network.ts";
import type { Schedule } from "../infinity/manifest.ts";
import type { Network, Pass, PassOutput } from "../network.ts";
import { SourceCache } from "./source-cache.ts";

/**
 * VAREdit (2508.15772): Infinity's transformer, which sees a source picture in front of everything it has drawn. The
 * source's unquantised latent at the last grid passes through all layers once a task, for both branches of guidance.
 */
export class EditNetwork implements Network<InfinityState> {
  readonly #inner: GraphNetwork;
  readonly #schedule: Schedule;
  readonly #latentOf: (image: RgbImage) => Promise<Float32Array>;
  readonly #channels: number;
  readonly #aligned: boolean;

  /** @param aligned scale-aligned reference (SAR) in the first layer */
  constructor(
    inner: GraphNetwork,
    schedule: Schedule,
    latentOf: (image: RgbImage) => Promise<Float32Array>,
    channels: number,
    aligned: boolean,
  ) {
    this.#inner = inner;
    this.#schedule = schedule;
    this.#latentOf = latentOf;
    this.#channels = channels;
    this.#aligned = aligned;
  }

  async begin(task: Task): Promise<InfinityState> {
    if (!task.source) {
      throw new TtsVarError("CONFIG_INVALID", "this generator edits a picture: give one with --image");
    }
    const state = await this.#inner.begin(task);
    const scales = this.#schedule.scales.map(([h, w]) => ({ h, w }));
    const z = this.#tokens(await this.#latentOf(task.source));
    const chunk = await this.#inner.prefill(state, z);
    const past = new SourceCache({ chunk, grid: scales.at(-1)!, scales, aligned: this.#aligned });
    return { ...state, past, alone: true };
  }

  run(state: InfinityState, input: Pass): Promise<PassOutput<InfinityState>> {
    return this.#inner.run(state, input);
  }

  select(state: InfinityState, parents: readonly number[]): InfinityState {
    return this.#inner.select(state, parents);
  }

  decode(latents: Tensor, quality: Quality): Promise<Tensor> {
    return this.#inner.decode(latents, quality);
  }

  /** [channels, h, w] as [1, h * w, channels]. */
  #tokens(latent: Float32Array): Tensor {
    const channels = this.#channels;
    const cells = latent.length / channels;
    const data = new Float32Array(latent.length);
    for (let channel = 0; channel < channels; channel++) {
      for (let cell = 0; cell < cells; cell++)
        data[cell * channels + channel] = latent[channel * cells + cell]!;
    }
    return { dims: [1, cells, channels], data };
  }
}
