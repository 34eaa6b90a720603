import type { RngStream } from "../../core/rng.ts";
import type { DrawSettings } from "./draw-bits.ts";
import type { DrawnTokens } from "./token-code.ts";

/** A codebook, [size, channels], and how it is drawn from. */
export interface Codebook {
  readonly size: number;
  readonly channels: number;
  readonly vectors: Float32Array;
}

/**
 * Draws codebook entries from logits (VAR, `sample_with_top_k_top_p_`). Guidance z = g c + (1 - g) u; top-k keeps what is
 * not below the k-th largest; of the rest, top-p drops the rarest up to a mass of 1 - p, never the likeliest. The
 * temperature divides what is left (as in CoDe). Signals are those of the tempered distribution before both rules.
 *
 * With `smooth` (the share of scales done, in [0, 1]) the code gets a Gumbel softmax over the kept entries instead of the drawn
 * one (`more_smooth`): softmax((z (1 + r) + gumbel) / tau), tau = max(0.27 (1 - 0.95 r), 0.005).
 *
 * The token at position p uses uniform p of the stream, and entry v of it the uniform after all tokens' at p size + v.
 *
 * @param cond logits of the conditional branch, [tokens, size]
 * @param kept entries to take instead of drawing
 * @throws RangeError if a logit is not finite
 */
export function drawIndices(
  cond: Float32Array,
  uncond: Float32Array | null,
  { guidance, temperature, topP, topK }: DrawSettings,
  stream: RngStream,
  { size, channels, vectors }: Codebook,
  smooth: number | null,
  kept?: Int32Array,
): DrawnTokens {
  const tokens = cond.length / size;
  const data = new Int32Array(tokens);
  const blend = smooth === null || kept ? null : new Float32Array(tokens * channels);
  const z = new Float64Array(size);
  const sorted = new Float64Array(size);
  const weight = new Float64Array(size);
  let logProb = 0;
  let entropy = 0;
  let gap = 0;
  for (let token = 0; token < tokens; token++) {
    const base = token * size;
    for (let entry = 0; entry < size; entry++) {
      const c = cond[base + entry]!;
      const u = uncond ? uncond[base + entry]! : c;
      z[entry] = guidance * c + (1 - guidance) * u;
      gap += Math.abs(c - u);
      if (!Number.isFinite(z[entry]!))
        throw new RangeError(`the logit at position ${base + entry} is ${z[entry]}`);
    }
    sorted.set(z);
    sorted.sort();
    const top = sorted[size - 1]!;
    const least = threshold(sorted, topK, topP);
    let all = 0;
    let moment = 0;
    let total = 0;
    for (let entry = 0; entry < size; entry++) {
      const scaled = (z[entry]! - top) / temperature;
      const mass = Math.exp(scaled);
      all += mass;
      moment += mass * scaled;
      weight[entry] = z[entry]! >= least ? mass : 0;
      total += weight[entry]!;
    }
    const index = kept ? kept[token]! : pick(weight, total * stream.uniform(token));
    data[token] = index;
    logProb += (z[index]! - top) / temperature - Math.log(all);
    entropy += Math.log(all) - moment / all;
    if (blend && smooth !== null) {
      gumbelMix(
        z,
        weight,
        smooth,
        (entry) => stream.uniform(tokens + base + entry),
        vectors,
        channels,
        blend,
        token,
      );
    }
  }
  return {
    data,
    ...(blend ? { vectors: blend } : {}),
    logProb,
    entropy: entropy / tokens,
    guidanceGap: uncond ? gap / cond.length : 0,
  };
}

/** Smallest logit that both rules keep, from the logits in ascending order. */
function threshold(sorted: Float64Array, topK: number | undefined, topP: number): number {
  const { length } = sorted;
  let first = topK === undefined ? 0 : Math.max(0, length - topK);
  const kth = sorted[first]!;
  while (first > 0 && sorted[first - 1] === kth) first--;
  if (topP >= 1) return kth;
  const top = sorted[length - 1]!;
  let total = 0;
  for (let at = first; at < length; at++) total += Math.exp(sorted[at]! - top);
  let dropped = 0;
  for (; first < length - 1; first++) {
    dropped += Math.exp(sorted[first]! - top);
    if (dropped > (1 - topP) * total) break;
  }
  return sorted[first]!;
}

/** Index at which the cumulative weight passes `point`. */
function pick(weight: Float64Array, point: number): number {
  let sum = 0;
  let last = 0;
  for (let entry = 0; entry < weight.length; entry++) {
    if (weight[entry] === 0) continue;
    sum += weight[entry]!;
    last = entry;
    if (point < sum) return entry;
  }
  return last;
}

function gumbelMix(
  z: Float64Array,
  weight: Float64Array,
  ratio: number,
  uniform: (entry: number) => number,
  vectors: Float32Array,
  channels: number,
  out: Float32Array,
  token: number,
): void {
  const tau = Math.max(0.27 * (1 - ratio * 0.95), 0.005);
  const scores = new Map<number, number>();
  let most = Number.NEGATIVE_INFINITY;
  weight.forEach((mass, entry) => {
    if (mass === 0) return;
    const gumbel = -Math.log(-Math.log(Math.max(uniform(entry), 2 ** -33)));
    const score = (z[entry]! * (1 + ratio) + gumbel) / tau;
    scores.set(entry, score);
    most = Math.max(most, score);
  });
  const mix = new Float64Array(channels);
  let total = 0;
  for (const [entry, score] of scores) {
    const mass = Math.exp(score - most);
    total += mass;
    for (let channel = 0; channel < channels; channel++)
      mix[channel]! += mass * vectors[entry * channels + channel]!;
  }
  for (let channel = 0; channel < channels; channel++)
    out[token * channels + channel] = mix[channel]! / total;
}
