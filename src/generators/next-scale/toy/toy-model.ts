import type { RgbImage } from "../../../core/image.ts";
import { createRng } from "../../../core/rng.ts";
import type { Task } from "../../../core/task.ts";
import type { Tensor } from "../../../core/tensor.ts";
import { BitCode } from "../bit-code.ts";
import type { Network, Pass, PassOutput } from "../network.ts";
import { type Grid, reduceArea } from "../resize.ts";
import { toImage } from "../to-image.ts";

/** Token grids of the toy, coarse to fine. */
export const TOY_SCALES: readonly (readonly [number, number])[] = [
  [1, 1],
  [2, 2],
  [4, 4],
  [8, 8],
];
/** Pixels per latent cell. */
export const TOY_STRIDE = 4;
const CHANNELS = 3;
/** Logit of the right bit: each is drawn right with probability 0.82, so the best image is rare. */
const STRENGTH = 1.5;

/** Latents are colours in [-1, 1]; each scale weighs half as much as the one before. */
export function toyCode(): BitCode {
  return new BitCode({
    scales: TOY_SCALES,
    channels: CHANNELS,
    patchify: false,
    magnitude: TOY_SCALES.map((_, scale) => new Array<number>(CHANNELS).fill(0.5 * 0.5 ** scale)),
  });
}

/** The bits that a prompt means, per scale: pseudo-random, a function of the prompt alone. */
export function toyBits(prompt: string): Uint8Array[] {
  const rng = createRng("toy", prompt);
  return TOY_SCALES.map(([h, w], scale) => {
    const stream = rng.stream("token", "target", scale);
    return Uint8Array.from({ length: h * w * CHANNELS }, (_, at) => (stream.uniform(at) < 0.5 ? 0 : 1));
  });
}

/** The one best image of a prompt: what the bits that it means decode to. */
export function toyBest(prompt: string, size?: Grid): RgbImage {
  const code = toyCode();
  let latent = new Float32Array();
  toyBits(prompt).forEach((bits, scale) => {
    latent = code.add(scale === 0 ? null : latent, bits, scale) as Float32Array<ArrayBuffer>;
  });
  const { h, w } = size ?? code.latent;
  const data = reduceArea(latent, CHANNELS, code.latent, { h, w });
  return toImage(paint({ dims: [1, CHANNELS, h, w], data }), 0);
}

/**
 * How well an image fits a prompt: 1 minus the mean absolute difference to the best image, which alone scores 1.
 * Previews are compared at their size.
 */
export function toyScore(image: RgbImage, prompt: string): number {
  const best = toyBest(prompt, { h: image.height / TOY_STRIDE, w: image.width / TOY_STRIDE });
  const sum = image.data.reduce((total, value, at) => total + Math.abs(value - best.data[at]!), 0);
  return 1 - sum / (255 * image.data.length);
}

/** There is no cache: what a prompt means says everything. */
interface ToyState {
  readonly target: readonly Uint8Array[];
}

/**
 * A bitwise next-scale model in closed form: the conditional branch prefers the bits that the prompt means, the
 * unconditional branch has no opinion. It goes through the same session as the networks.
 */
export class ToyModel implements Network<ToyState> {
  async begin(task: Task): Promise<ToyState> {
    return { target: toyBits(task.prompt) };
  }

  async run(state: ToyState, { stage, guided }: Pass): Promise<PassOutput<ToyState>> {
    const bits = state.target[stage]!;
    const groups = guided ? 2 : 1;
    const data = new Float32Array(groups * bits.length);
    bits.forEach((bit, at) => {
      data[at] = bit === 1 ? STRENGTH : -STRENGTH;
    });
    return { delta: { dims: [groups, 1, bits.length / CHANNELS, CHANNELS], data }, state };
  }

  select(state: ToyState): ToyState {
    return state;
  }

  rewind(state: ToyState): ToyState {
    return state;
  }

  async decode(latents: Tensor): Promise<Tensor> {
    return paint(latents);
  }
}

/** Every latent cell becomes a square of its colour. */
function paint({ dims, data }: Tensor): Tensor {
  const [count, channels, h, w] = dims as [number, number, number, number];
  const height = h * TOY_STRIDE;
  const width = w * TOY_STRIDE;
  const out = new Float32Array(count * channels * height * width);
  for (let at = 0; at < out.length; at++) {
    const x = Math.floor((at % width) / TOY_STRIDE);
    const y = Math.floor((Math.floor(at / width) % height) / TOY_STRIDE);
    out[at] = data[(Math.floor(at / (width * height)) * h + y) * w + x]!;
  }
  return { dims: [count, channels, height, width], data: out };
}
