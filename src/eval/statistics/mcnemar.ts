/** Paired yes/no outcomes that differ: how often only the first, or only the second, was right. */
export interface McNemar {
  readonly onlyA: number;
  readonly onlyB: number;
  /** Exact two-sided p-value. */
  readonly p: number;
  /** The same after Holm's correction over all tests of the comparison. */
  readonly pHolm: number;
}

/**
 * Exact two-sided p-value of paired prompts: of all ways to exchange the two sides prompt by prompt, the share that lies
 * at least as far from balance. With one image per prompt this is McNemar's test; the images of a prompt, which are not
 * independent, stay together.
 *
 * @param nets by prompt, how many more of its images are right on the one side than on the other
 */
export function signFlipP(nets: readonly number[]): number {
  const steps = nets.map(Math.abs).filter((net) => net > 0);
  const reach = steps.reduce((sum, net) => sum + net, 0);
  // Chance of every sum from -reach to reach.
  let chances = new Float64Array(2 * reach + 1);
  chances[reach] = 1;
  for (const step of steps) {
    const next = new Float64Array(chances.length);
    chances.forEach((chance, at) => {
      if (chance === 0) return;
      next[at - step]! += chance / 2;
      next[at + step]! += chance / 2;
    });
    chances = next;
  }
  const seen = Math.abs(nets.reduce((sum, net) => sum + net, 0));
  return Math.min(
    1,
    chances.reduce((sum, chance, at) => (Math.abs(at - reach) >= seen ? sum + chance : sum), 0),
  );
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
