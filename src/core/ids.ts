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
