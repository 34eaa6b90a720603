import type { RngStream } from "../../core/rng.ts";

/** How the bits of one scale are drawn. */
export interface DrawSettings {
  /** Classifier-free guidance weight; 1 uses the conditional logits alone. */
  readonly guidance: number;
  readonly temperature: number;
  readonly topP: number;
  /** Values of a bit to draw from, by likelihood; 1 takes the likelier one, more do not limit anything. */
  readonly topK?: number | undefined;
  /** Bits of a token, for `byToken`; default: no tokens. */
  readonly width?: number;
}

/** Bits of one candidate at one scale, with the signals that come for free. */
export interface Drawn {
  readonly bits: Uint8Array;
  /** Log-probability of the bits, in nats, under the guided and tempered distribution before the nucleus rule. */
  readonly logProb: number;
  /** Mean entropy per bit of that distribution, in nats. */
  readonly entropy: number;
  /** Mean |conditional - unconditional| logit difference; 0 without the unconditional branch. */
  readonly guidanceGap: number;
  /** The log-probability by token, where tokens are asked for. */
  readonly byToken: Float64Array;
}

/**
 * Draws independent bits from logit differences `l(1) - l(0)` (Infinity section 3.2). Guidance and temperature act on
 * logits, hence on their difference: d = (g * c + (1 - g) * u) / temperature. The nucleus rule for two classes: if the
 * rarer one has probability <= 1 - topP, that is |d| >= ln(topP / (1 - topP)), the likelier one is taken.
 *
 * The bit at position p uses uniform p of the stream whatever the rule decided before, so draws of one position never
 * shift those of another.
 *
 * @param cond   differences of the conditional branch, [tokens * channels]
 * @param uncond differences of the unconditional branch, or null
 * @param kept   bits to take instead of drawing; the signals are then those of the kept bits
 * @throws RangeError if a logit is not finite
 */
export function drawBits(
  cond: Float32Array,
  uncond: Float32Array | null,
  { guidance, temperature, topP, topK = 2, width }: DrawSettings,
  stream: RngStream,
  kept?: Uint8Array,
): Drawn {
  const count = cond.length;
  const bits = new Uint8Array(count);
  const byToken = new Float64Array(width === undefined ? 0 : count / width);
  const uniforms = new Float64Array(count);
  if (!kept) stream.fill(uniforms);
  const certain = topK === 1 ? 0 : Math.log(topP / (1 - topP));
  let logProb = 0;
  let entropy = 0;
  let gap = 0;
  for (let index = 0; index < count; index++) {
    const c = cond[index]!;
    let delta = c;
    if (uncond) {
      const u = uncond[index]!;
      delta = guidance * c + (1 - guidance) * u;
      gap += Math.abs(c - u);
    }
    delta /= temperature;
    if (!Number.isFinite(delta)) throw new RangeError(`the logit at position ${index} is ${delta}`);
    const size = Math.abs(delta);
    const tail = Math.exp(-size);
    // Probability of the less likely value, and -log of the likelier one's.
    const rare = tail / (1 + tail);
    const cost = Math.log1p(tail);
    const likely = delta > 0 ? 1 : 0;
    let bit: number;
    if (kept) bit = kept[index]!;
    else if (size >= certain) bit = likely;
    else bit = uniforms[index]! < (likely === 1 ? 1 - rare : rare) ? 1 : 0;
    bits[index] = bit;
    const surprise = bit === likely ? cost : cost + size;
    logProb -= surprise;
    if (width !== undefined) byToken[Math.floor(index / width)]! -= surprise;
    entropy += cost + size * rare;
  }
  return { bits, logProb, entropy: entropy / count, guidanceGap: gap / count, byToken };
}
