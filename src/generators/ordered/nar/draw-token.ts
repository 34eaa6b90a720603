/** How tokens are drawn from logits. */
export interface TokenSettings {
  /** Weight of the text in the logits; 1: no guidance. */
  readonly guidance: number;
  readonly temperature: number;
  /** Only the likeliest so many; 0: all. */
  readonly topK: number;
  /** Only the likeliest whose shares come to this; 1: all. */
  readonly topP: number;
  /** Only those with at least this share of the likeliest one's probability; 0: all. */
  readonly minP: number;
}

export interface DrawnToken {
  readonly token: number;
  /** Under the distribution that was drawn from, nats. */
  readonly logProb: number;
  /** Of that distribution, nats. */
  readonly entropy: number;
}

/**
 * Draws one token: guidance on logits, temperature, then top-k, top-p and min-p, each of the distribution that the one
 * before leaves.
 *
 * @param none    logits without the text; null: not guided
 * @param uniform in [0, 1)
 * @throws RangeError for logits that are no numbers
 */
export function drawToken(
  logits: ArrayLike<number>,
  none: ArrayLike<number> | null,
  { guidance, temperature, topK, topP, minP }: TokenSettings,
  uniform: number,
): DrawnToken {
  const values = Float64Array.from(logits, (own, entry) => {
    const value = none ? guidance * own + (1 - guidance) * none[entry]! : own;
    return value / temperature;
  });
  const highest = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  if (!Number.isFinite(highest)) throw new RangeError("logits are not finite");
  const weights = values.map((value) => Math.exp(value - highest));
  // Equal ones by number, so that the same logits leave the same tokens everywhere.
  const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]! || a - b);
  const kept = new Set(withinTopP(order.slice(0, topK > 0 ? topK : order.length), weights, topP));
  let total = 0;
  for (let entry = 0; entry < weights.length; entry++) {
    // The likeliest weighs 1.
    if (!kept.has(entry) || weights[entry]! < minP) weights[entry] = 0;
    total += weights[entry]!;
  }
  let [sum, token, entropy] = [0, -1, 0];
  for (const [entry, weight] of weights.entries()) {
    if (weight === 0) continue;
    const share = weight / total;
    entropy -= share * Math.log(share);
    sum += share;
    if (token < 0 && uniform < sum) token = entry;
  }
  // Shares may come to a little less than 1.
  if (token < 0) token = order[0]!;
  return { token, logProb: Math.log(weights[token]! / total), entropy };
}

/** The shortest head of the order whose shares come to `topP`; never empty. */
function withinTopP(order: readonly number[], weights: Float64Array, topP: number): readonly number[] {
  if (topP >= 1) return order;
  const total = order.reduce((sum, entry) => sum + weights[entry]!, 0);
  let sum = 0;
  const end = order.findIndex((entry) => {
    sum += weights[entry]! / total;
    return sum >= topP;
  });
  return end < 0 ? order : order.slice(0, end + 1);
}
