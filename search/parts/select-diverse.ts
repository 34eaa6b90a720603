import type { CandidateId } from "../../src/core/ids.ts";
import { rowOf, type Tensor } from "../../src/core/tensor.ts";
import { squaredDistance } from "./cluster.ts";
import { rowsById } from "./order.ts";

/**
 * Choosing a subset that covers a population. Every rule is greedy, takes candidates in the order of their ids on ties,
 * and returns `count` distinct rows, ascending.
 */
export const DIVERSITY_RULES = ["dpp", "facility-location", "farthest-point"] as const;
export type DiversityRule = (typeof DIVERSITY_RULES)[number];

/**
 * @param quality log quality of each row, >= any value; larger means rather kept. Zeros: diversity alone.
 */
export function selectDiverse(
  rule: DiversityRule,
  ids: readonly CandidateId[],
  features: Tensor,
  quality: ArrayLike<number>,
  count: number,
): number[] {
  const order = rowsById(ids);
  const similarity = similarityMatrix(order.map((row) => rowOf(features, row)));
  const logs = order.map((row) => quality[row]!);
  const places =
    rule === "dpp"
      ? dppGreedy(similarity, logs, count)
      : rule === "facility-location"
        ? facilityLocation(similarity, logs, count)
        : farthestPoint(similarity, logs, count);
  return places.map((place) => order[place]!).sort((a, b) => a - b);
}

/** Gaussian similarity, its width the median distance of distinct pairs; 1 for equal vectors. */
export function similarityMatrix(vectors: readonly ArrayLike<number>[]): number[][] {
  const squared = vectors.map((a) => vectors.map((b) => squaredDistance(a, b)));
  const pairs = squared.flatMap((row, i) => row.slice(i + 1)).filter((value) => value > 0);
  pairs.sort((a, b) => a - b);
  const width = pairs[Math.floor(pairs.length / 2)] ?? 1;
  return squared.map((row) => row.map((value) => Math.exp(-value / width)));
}

/**
 * Greedy MAP of a determinantal point process with kernel L_ij = q_i S_ij q_j (Chen, Zhang and Zhou 2018): each step
 * adds the candidate that raises log det L most, by updating Cholesky rows. When only duplicates of chosen ones are
 * left, quality decides.
 *
 * @param logs log q by place
 */
export function dppGreedy(
  similarity: readonly (readonly number[])[],
  logs: readonly number[],
  count: number,
): number[] {
  const rows: number[][] = similarity.map(() => []);
  // Conditional variance of each place given those chosen; 1 before any is.
  const free = similarity.map((row, place) => row[place]!);
  return greedy(similarity.length, count, {
    gain: (place) => [Math.log(Math.max(free[place]!, 1e-10)) + 2 * logs[place]!, logs[place]!],
    added: (chosen) => {
      const root = Math.sqrt(Math.max(free[chosen]!, 1e-10));
      const basis = [...rows[chosen]!];
      rows.forEach((row, place) => {
        const inner = basis.reduce((sum, value, index) => sum + value * row[index]!, 0);
        const entry = (similarity[chosen]![place]! - inner) / root;
        row.push(entry);
        free[place] = free[place]! - entry * entry;
      });
    },
  });
}

/** Greedy facility location: maximises sum_i q_i max_j S_ij over the chosen j, within 1 - 1/e of the optimum. */
export function facilityLocation(
  similarity: readonly (readonly number[])[],
  logs: readonly number[],
  count: number,
): number[] {
  const top = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - top));
  const covered = new Array<number>(similarity.length).fill(0);
  return greedy(similarity.length, count, {
    gain: (place) => [
      covered.reduce(
        (sum, value, i) => sum + weights[i]! * Math.max(0, weights[place]! * similarity[i]![place]! - value),
        0,
      ),
      logs[place]!,
    ],
    added: (chosen) => {
      covered.forEach((value, i) => {
        covered[i] = Math.max(value, weights[chosen]! * similarity[i]![chosen]!);
      });
    },
  });
}

/** Best quality first, then always the candidate farthest from those chosen (2-approximation of k-centre). */
export function farthestPoint(
  similarity: readonly (readonly number[])[],
  logs: readonly number[],
  count: number,
): number[] {
  const closeness = new Array<number>(similarity.length).fill(Number.NEGATIVE_INFINITY);
  return greedy(similarity.length, count, {
    gain: (place) => [-closeness[place]!, logs[place]!],
    added: (chosen) => {
      closeness.forEach((value, place) => {
        closeness[place] = Math.max(value, similarity[chosen]![place]!);
      });
    },
  });
}

interface Greedy {
  /** Gain of adding a place, and what decides between equal gains. */
  gain(place: number): readonly [number, number];
  added(place: number): void;
}

function greedy(places: number, count: number, rule: Greedy): number[] {
  const chosen: number[] = [];
  const left = new Set(Array.from({ length: places }, (_, place) => place));
  while (chosen.length < count && left.size > 0) {
    let best = -1;
    let bestGain: readonly [number, number] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const place of left) {
      const gain = rule.gain(place);
      if (best < 0 || gain[0] > bestGain[0] || (gain[0] === bestGain[0] && gain[1] > bestGain[1])) {
        best = place;
        bestGain = gain;
      }
    }
    chosen.push(best);
    left.delete(best);
    rule.added(best);
  }
  return chosen;
}
