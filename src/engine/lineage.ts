import type { CandidateId } from "../core/ids.ts";

/** Ancestors of a candidate from its root on: `c3.1.2` descends from `c3` and `c3.1`. */
export function lineageOf(id: CandidateId): CandidateId[] {
  const parts = id.split(".");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("."));
}

/** The candidate of which this one is an extra copy; null for roots. */
export function parentOf(id: CandidateId): CandidateId | null {
  return lineageOf(id).at(-1) ?? null;
}
