import { type CandidateId, compareIds } from "../../src/core/ids.ts";

/** Rows in the order of their ids. */
export function rowsById(ids: readonly CandidateId[]): number[] {
  return ids.map((_, row) => row).sort((a, b) => compareIds(ids[a]!, ids[b]!));
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
