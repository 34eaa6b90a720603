import { Budget, type Spending } from "./budget.ts";
import { Ledger, type LedgerRow } from "./ledger.ts";
import type {
  SearchAction,
  SearchFunction,
  SearchObservation,
  SearchOutcome,
  SearchProgram,
  SearchSpace,
} from "./strategy.ts";

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
 * Prices a strategy by running its program on blank observations: equal scores, zero features, tokens and signals. Nothing is
 * loaded or computed. The price is exact for programs whose actions do not depend on what they see, and an upper bound
 * for those that stop early on good scores.
 *
 * The limit is not enforced here (compare `spending.total` with it), but `space.remaining()` counts down from it, so
 * that programs which spend what is left do come to an end.
 */
export function dryRun(strategy: SearchFunction, space: SearchSpace): DryRun {
  const budget = new Budget(Number.POSITIVE_INFINITY, space.scales.length);
  const ledger = new Ledger(space.cost, budget);
  const program = finish(strategy, { ...space, remaining: () => space.limit - budget.spent() });
  let turn = program.next();
  while (!turn.done) turn = program.next(answer(ledger, turn.value));
  ledger.finals(turn.value.finalists);
  return { rows: ledger.rows, spending: budget.spending() };
}

/**
 * A strategy's program, completed by what every search ends with: the finalists are decoded at full size and scored
 * with the primary reward, unless the program has done so itself.
 */
export function* finish(strategy: SearchFunction, space: SearchSpace): SearchProgram<SearchOutcome> {
  const outcome = yield* strategy(space);
  const { finalists } = outcome;
  const rows = finalists.ids.map((_, row) => row);
  yield { type: "score", population: finalists, rows, reward: space.reward, latent: null };
  return outcome;
}

function answer(ledger: Ledger, action: SearchAction): SearchObservation {
  switch (action.type) {
    case "start":
      return { type: "population", population: ledger.start(action.width) };
    case "step": {
      const population = ledger.step(action.population);
      const blank = new Float64Array(population.ids.length);
      const tokenHash = population.ids.map(() => "");
      const signals = { logProb: blank, entropy: blank, guidanceGap: blank, tokenHash };
      return { type: "stepped", population, signals };
    }
    case "score": {
      ledger.score(action.population, action.rows, action.reward, action.latent);
      return { type: "scores", scores: new Float64Array(action.rows.length).fill(dryScore) };
    }
    case "features": {
      const { ids } = action.population;
      ledger.decode(
        action.population,
        ids.map((_, row) => row),
        action.latent,
      );
      ledger.features(action.population);
      return { type: "features", features: { dims: [ids.length, 1], data: new Float32Array(ids.length) } };
    }
    case "tokens": {
      const { ids } = action.population;
      ledger.tokens(action.population);
      return { type: "tokens", tokens: { dims: [ids.length, 1], data: new Float32Array(ids.length) } };
    }
    case "select":
      return { type: "population", population: ledger.select(action.population, action.picks) };
    case "branch":
      return { type: "population", population: ledger.branch(action.population, action.picks) };
    case "release":
      ledger.release(action.population);
      return { type: "released" };
  }
}
