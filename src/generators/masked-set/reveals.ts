import type { RngStream } from "../../core/rng.ts";

/**
 * Tokens that each stage reveals: after stage `s` of `K` the floor of `N cos(pi/2 (s+1)/K)` are still masked, at least one
 * and at least one less than before; the last stage takes all that is left (MAR, Li et al. 2024).
 */
export function revealsOf(tokens: number, stages: number): number[] {
  let masked = tokens;
  return Array.from({ length: stages }, (_, stage) => {
    const left = Math.floor(tokens * Math.cos((Math.PI / 2) * ((stage + 1) / stages)));
    const next = stage === stages - 1 ? 0 : Math.max(1, Math.min(masked - 1, left));
    const count = masked - next;
    masked = next;
    return count;
  });
}

/** Which masked tokens come next. */
export type Order = "random" | "raster" | "semantic";

/** Share of a canvas that is revealed at random before its own content can say where to go on (SemAIM's order). */
const SEMANTIC_FROM = 0.2;

export interface Choice {
  readonly order: Order;
  /** 1 where a token is known, row-major. */
  readonly known: Uint8Array;
  readonly side: number;
  /** The decoder's vectors, [tokens, width]; read by the semantic order only. */
  readonly vectors: Float32Array;
}

/**
 * Positions to reveal, in ascending order: at random, in reading order, or from the most characteristic place outwards: the
 * token whose vector is nearest to the mean of all (SemAIM has a class token there). The stream's first uniforms, one for
 * each token, decide between equals; drawn anew in every stage, they are a random order of the candidate's own.
 */
export function chooseNext(
  { order, known, side, vectors }: Choice,
  count: number,
  stream: RngStream,
): number[] {
  const masked = [...known.keys()].filter((position) => known[position] === 0);
  const revealed = known.length - masked.length;
  const centre =
    order === "semantic" && revealed >= SEMANTIC_FROM * known.length ? centreOf(vectors, known.length) : null;
  const rank = (position: number): number => {
    if (order === "raster") return position;
    const random = stream.uniform(position);
    if (centre === null) return random;
    const [dy, dx] = [
      Math.floor(position / side) - Math.floor(centre / side),
      (position % side) - (centre % side),
    ];
    return dy * dy + dx * dx + 1e-3 * random;
  };
  const ranks = new Map(masked.map((position) => [position, rank(position)]));
  return masked
    .sort((a, b) => ranks.get(a)! - ranks.get(b)! || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** The token whose vector has the highest cosine with the mean of all. */
function centreOf(vectors: Float32Array, tokens: number): number {
  const width = vectors.length / tokens;
  const mean = new Float64Array(width);
  for (let at = 0; at < vectors.length; at++) mean[at % width]! += vectors[at]! / tokens;
  const likeness = (token: number): number => {
    let [dot, square] = [0, 0];
    for (let value = 0; value < width; value++) {
      const own = vectors[token * width + value]!;
      dot += own * mean[value]!;
      square += own * own;
    }
    return square > 0 ? dot / Math.sqrt(square) : Number.NEGATIVE_INFINITY;
  };
  let best = 0;
  for (let token = 1; token < tokens; token++) if (likeness(token) > likeness(best)) best = token;
  return best;
}
