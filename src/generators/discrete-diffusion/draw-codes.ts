import type { RngStream } from "../../core/rng.ts";
import { posterior } from "./schedule.ts";

/** How a step draws. */
export interface StepSettings {
  /** Times in [0, 1] before and after. */
  readonly from: number;
  readonly to: number;
  /** Weight of the text in the logits; 1: no guidance. */
  readonly guidance: number;
  /** Of the distribution of clean codes. */
  readonly temperature: number;
}

/** A canvas after a step. */
export interface DrawnCodes {
  readonly codes: Int32Array;
  /** The likeliest clean canvas. */
  readonly guess: Int32Array;
  /** Of the codes that were drawn, under the posterior; nats, summed. */
  readonly logProb: number;
  /** Of the clean codes, mean by token, nats. */
  readonly entropy: number;
  /** Mean probability of the likeliest clean code. */
  readonly confidence: number;
}

/**
 * One step of the reverse process for one candidate.
 *
 * @param logits of the clean codes, [tokens, entries]
 * @param none   the same without the text; null: not guided
 * @param noisy  codes before the step
 * @param at     first position of the stream that the step uses; it uses one for each token
 * @throws RangeError for logits that are no numbers
 */
export function drawCodes(
  logits: Float32Array,
  none: Float32Array | null,
  noisy: Int32Array,
  { from, to, guidance, temperature }: StepSettings,
  stream: RngStream,
  at: number,
): DrawnCodes {
  const tokens = noisy.length;
  const entries = logits.length / tokens;
  const clean = new Float64Array(entries);
  const weights = new Float64Array(entries);
  const codes = new Int32Array(tokens);
  const guess = new Int32Array(tokens);
  let [logProb, entropy, confidence] = [0, 0, 0];
  for (let token = 0; token < tokens; token++) {
    const base = token * entries;
    let best = 0;
    for (let entry = 0; entry < entries; entry++) {
      const own = logits[base + entry]!;
      const value = none ? guidance * own + (1 - guidance) * none[base + entry]! : own;
      clean[entry] = value / temperature;
      if (clean[entry]! > clean[best]!) best = entry;
    }
    const highest = clean[best]!;
    if (!Number.isFinite(highest)) throw new RangeError(`logits of token ${token} are not finite`);
    let total = 0;
    for (let entry = 0; entry < entries; entry++) {
      clean[entry] = Math.exp(clean[entry]! - highest);
      total += clean[entry]!;
    }
    for (let entry = 0; entry < entries; entry++) {
      const share = clean[entry]! / total;
      clean[entry] = share;
      if (share > 0) entropy -= share * Math.log(share);
    }
    guess[token] = best;
    confidence += clean[best]!;
    const sum = posterior(clean, noisy[token]!, from, to, weights);
    const drawn = pick(weights, sum * stream.uniform(at + token));
    codes[token] = drawn;
    logProb += Math.log(weights[drawn]! / sum);
  }
  return { codes, guess, logProb, entropy: entropy / tokens, confidence: confidence / tokens };
}

/** The entry in whose share of the sum `at` lies; never one without weight. */
function pick(weights: Float64Array, at: number): number {
  let sum = 0;
  let last = 0;
  for (let entry = 0; entry < weights.length; entry++) {
    const weight = weights[entry]!;
    if (weight <= 0) continue;
    sum += weight;
    last = entry;
    if (at < sum) return entry;
  }
  return last;
}

/** Codes that are kept with a chance, and any code otherwise; uses two positions for each token. */
export function renoise(
  codes: Int32Array,
  kept: number,
  entries: number,
  stream: RngStream,
  at: number,
): Int32Array {
  return codes.map((code, token) =>
    stream.uniform(at + 2 * token) < kept ? code : Math.floor(entries * stream.uniform(at + 2 * token + 1)),
  );
}
