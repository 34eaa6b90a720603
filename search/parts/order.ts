import type { CandidateId } from "../../src/core/ids.ts";

/**
 * Natural order of lineage ids: c2 before c10, a parent before its copies. Every decision orders candidates by id
 * first, so that the order of the batch cannot change it.
 */
export function compareIds(a: CandidateId, b: CandidateId): number {
  return compareNumbers(numbersOf(a), numbersOf(b));
}

function compareNumbers(left: readonly number[], right: readonly number[]): number {
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? -1) - (right[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(id: CandidateId): number[] {
  return id.slice(1).split(".").map(Number);
}

/** Rows in the order of their ids. */
export function rowsById(ids: readonly CandidateId[]): number[] {
  const numbers = ids.map(numbersOf);
  return ids.map((_, row) => row).sort((a, b) => compareNumbers(numbers[a]!, numbers[b]!));
}

/** Rows from the highest score to the lowest; equal scores by id. */
export function ranking(ids: readonly CandidateId[], scores: ArrayLike<number>): number[] {
  return rowsById(ids).sort((a, b) => scores[b]! - scores[a]!);
}

/** Row of the highest score; of equal ones that with the lowest id. */
export function bestRow(ids: readonly CandidateId[], scores: ArrayLike<number>): number {
  return ranking(ids, scores)[0]!;
}

/** The `count` highest-scored rows, in batch order. */
export function topRows(ids: readonly CandidateId[], scores: ArrayLike<number>, count: number): number[] {
  return ranking(ids, scores)
    .slice(0, count)
    .sort((a, b) => a - b);
}

/** Elements of `list` at the given places. */
export function pick<T>(list: ArrayLike<T>, places: readonly number[]): T[] {
  return places.map((place) => list[place]!);
}
