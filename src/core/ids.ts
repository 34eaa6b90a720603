/**
 * Lineage identity of a candidate: `c3` is the fourth root, `c3.1` its first extra copy. The id, not the position in
 * the batch, keys all of a candidate's random draws, so pruning and reordering never change it.
 */
export type CandidateId = string;

/** Ids of the first `count` roots: c0, c1, ... */
export function rootIds(count: number, first = 0): CandidateId[] {
  return Array.from({ length: count }, (_, index) => `c${first + index}`);
}

/**
 * Names the children of a selection. The first child of a parent keeps the parent's id (and with it the parent's random
 * stream); every further copy gets a derived id `parent.n`, where `n` counts that parent's copies over the whole search.
 *
 * @param parents ids of the current candidates
 * @param picks   indices into `parents`, duplicates allowed
 * @param copies  number of derived copies made so far by parent id; updated in place
 */
export function childIds(
  parents: readonly CandidateId[],
  picks: readonly number[],
  copies: Map<CandidateId, number>,
): CandidateId[] {
  const seen = new Set<number>();
  return picks.map((pick) => {
    const parent = parents[pick];
    if (parent === undefined) throw new RangeError(`pick ${pick} is outside 0..${parents.length - 1}`);
    if (!seen.has(pick)) {
      seen.add(pick);
      return parent;
    }
    const copy = (copies.get(parent) ?? 0) + 1;
    copies.set(parent, copy);
    return `${parent}.${copy}`;
  });
}

/** New ids for candidates that go on under another identity, such as after a refinement: one further copy of each. */
export function derivedIds(ids: readonly CandidateId[], copies: Map<CandidateId, number>): CandidateId[] {
  return ids.map((id) => {
    const copy = (copies.get(id) ?? 0) + 1;
    copies.set(id, copy);
    return `${id}.${copy}`;
  });
}

/** Ancestors of a candidate from its root on: `c3.1.2` descends from `c3` and `c3.1`. */
export function lineageOf(id: CandidateId): CandidateId[] {
  const parts = id.split(".");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("."));
}

/** The candidate of which this one is an extra copy; null for roots. */
export function parentOf(id: CandidateId): CandidateId | null {
  return lineageOf(id).at(-1) ?? null;
}

/** Number of the root that a candidate descends from. */
export function rootOf(id: CandidateId): number {
  return Number(id.slice(1).split(".")[0]);
}

/**
 * Natural order of ids: c2 before c10, a parent before its copies. Every decision orders candidates by id first, so that
 * the order of the batch cannot change it.
 */
export function compareIds(a: CandidateId, b: CandidateId): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? -1) - (right[index] ?? -1);
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbersOf(id: CandidateId): number[] {
  return id.slice(1).split(".").map(Number);
}
