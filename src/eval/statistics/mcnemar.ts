/** Paired yes/no outcomes that differ: how often only the first, or only the second, was right. */
export interface McNemar {
  readonly onlyA: number;
  readonly onlyB: number;
  /** Exact two-sided binomial p-value. */
  readonly p: number;
  /** The same after Holm's correction over all tests of the comparison. */
  readonly pHolm: number;
}

/** Exact two-sided p-value of McNemar's test: of onlyA + onlyB fair coins, a split at least this uneven. */
export function mcnemarP(onlyA: number, onlyB: number): number {
  const n = onlyA + onlyB;
  const few = Math.min(onlyA, onlyB);
  let logTerm = -n * Math.LN2;
  let tail = 0;
  for (let k = 0; k <= few; k++) {
    if (k > 0) logTerm += Math.log(n - k + 1) - Math.log(k);
    tail += Math.exp(logTerm);
  }
  return Math.min(1, 2 * tail);
}

/** Holm's step-down correction: p-values in the same order, valid whatever the dependence between the tests. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, index) => index).sort((a, b) => ps[a]! - ps[b]!);
  const adjusted = new Array<number>(ps.length);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, ps[index]! * (ps.length - rank)));
    adjusted[index] = largest;
  });
  return adjusted;
}
