import { Budget, type Spending } from "./budget.ts";
import { type Booked, drive, finish, type Witness } from "./drive.ts";
import { Ledger, type LedgerRow } from "./ledger.ts";
import type { SearchFunction, SearchSpace } from "./strategy.ts";
import { elementsOf, TOKEN_ARRAYS, type TokenKind, type Tokens } from "./tokens.ts";

/**
 * Score of every candidate in a dry run: all equal, and lower than any verifier accepts, so that a program which stops
 * early on success is priced at its worst. A power of two keeps means and differences exact.
 */
export const dryScore = -(2 ** 30);

export interface DryRun {
  readonly rows: readonly LedgerRow[];
  readonly spending: Spending;
}

/**
 * Prices a strategy by running its program on blank observations: equal scores without atoms, zero features, tokens of
 * zeros and no signals. Nothing is loaded or computed. The price is exact for programs whose actions do not depend on what they see,
 * and an upper bound for those that stop early on good scores.
 *
 * The limit is not enforced here (compare `spending.total` with it), but `space.remaining()` counts down from it, so
 * that programs which spend what is left do come to an end.
 *
 * @param after is told of every booked action
 */
export function dryRun(
  strategy: SearchFunction,
  space: SearchSpace,
  after?: (booked: Booked) => void,
): DryRun {
  const budget = new Budget(Number.POSITIVE_INFINITY, space.stages.length);
  const ledger = new Ledger(space.cost, budget);
  const program = finish(strategy, { ...space, remaining: () => space.limit - budget.spent() });
  drive(program, ledger, blankWitness(space.tokens), after);
  return { rows: ledger.rows, spending: budget.spending() };
}

/** Nobody looks: every candidate is like every other. */
function blankWitness(kind: TokenKind): Witness {
  // A token is enough: programs must not depend on how many there are.
  const blank: Tokens = { count: 1, data: new TOKEN_ARRAYS[kind.kind](elementsOf(kind)) };
  return {
    signals: ({ next }) => ({ tokenHash: next.ids.map(() => ""), values: {} }),
    scores: ({ action }) => new Float64Array("rows" in action ? action.rows.length : 0).fill(dryScore),
    atoms: ({ next: { ids } }) => ids.map(() => []),
    features: ({ next: { ids } }) => ({ dims: [ids.length, 1], data: new Float32Array(ids.length) }),
    tokens: ({ next }) => next.ids.map(() => blank),
  };
}
