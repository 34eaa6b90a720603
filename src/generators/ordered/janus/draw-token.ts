/** How a token is drawn. */
export interface TokenDraw {
  readonly guidance: number;
  readonly temperature: number;
  readonly topK: number | null;
  readonly topP: number;
}

/** A token, with the signals that come for nothing. */
export interface DrawnToken {
  readonly token: number;
  /** Of the token, in nats, under the guided and tempered distribution before it is cut. */
  readonly logProb: number;
  /** Of that distribution, in nats. */
  readonly entropy: number;
  /** Mean |conditional - unconditional| logit; 0 without the unconditional branch. */
  readonly guidanceGap: number;
}

/**
 * Draws a code where the cumulative distribution passes a uniform number. Guidance as Janus does it:
 * l = u + weight * (c - u). `topK` keeps the likeliest codes, `topP` the fewest that have so much probability together.
 *
 * @param uniform in [0, 1); not used for a kept token
 * @throws RangeError if a logit is not finite
 */
export function drawToken(
  cond: Float32Array,
  uncond: Float32Array | null,
  { guidance, temperature, topK, topP }: TokenDraw,
  uniform: number,
  kept?: number,
): DrawnToken {
  const count = cond.length;
  const logits = new Float64Array(count);
  let gap = 0;
  let largest = Number.NEGATIVE_INFINITY;
  for (let code = 0; code < count; code++) {
    const c = cond[code]!;
    const u = uncond ? uncond[code]! : c;
    const logit = (u + guidance * (c - u)) / temperature;
    if (!Number.isFinite(logit)) throw new RangeError(`the logit of code ${code} is ${logit}`);
    logits[code] = logit;
    gap += Math.abs(c - u);
    if (logit > largest) largest = logit;
  }
  const chances = new Float64Array(count);
  let total = 0;
  for (let code = 0; code < count; code++) total += chances[code] = Math.exp(logits[code]! - largest);
  const logTotal = Math.log(total);
  let entropy = logTotal;
  for (let code = 0; code < count; code++) entropy -= (chances[code]! / total) * (logits[code]! - largest);
  const token = kept ?? pick(cut(chances, total, topK, topP), uniform);
  return { token, logProb: logits[token]! - largest - logTotal, entropy, guidanceGap: gap / count };
}

/** The chances with all that is cut off set to 0. Of equal chances the code with the smaller number stays. */
function cut(chances: Float64Array, total: number, topK: number | null, topP: number): Float64Array {
  if ((topK === null || topK >= chances.length) && topP === 1) return chances;
  const order = Array.from(chances.keys()).sort((a, b) => chances[b]! - chances[a]! || a - b);
  const left = new Float64Array(chances.length);
  let mass = 0;
  for (const code of order.slice(0, topK ?? order.length)) {
    left[code] = chances[code]!;
    mass += chances[code]!;
    if (topP < 1 && mass >= topP * total) break;
  }
  return left;
}

function pick(chances: Float64Array, uniform: number): number {
  const total = chances.reduce((sum, chance) => sum + chance, 0);
  let passed = 0;
  let last = 0;
  for (let code = 0; code < chances.length; code++) {
    if (chances[code] === 0) continue;
    last = code;
    passed += chances[code]!;
    if (passed > uniform * total) return code;
  }
  return last;
}
