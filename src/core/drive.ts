import { FULL_VIEW } from "./generator.ts";
import type { Ledger } from "./ledger.ts";
import {
  type Population,
  type SearchAction,
  type SearchOutcome,
  type SearchProgram,
  SIGHT_OF,
  type Sight,
  type Sights,
} from "./program.ts";
import type { SearchFunction, SearchSpace } from "./strategy.ts";

/** An action as the ledger has booked it: where it leads, and what has to be made for it. */
export interface Booked<Action extends SearchAction = SearchAction> {
  readonly action: Action;
  /** The population that the action leads to; the same one for a look. */
  readonly next: Population;
  /** Rows to look at and to score now; all others were before. */
  readonly view: readonly number[];
  readonly score: readonly number[];
}

/** Books an action, which charges it, for whoever drives the program. */
export function book(ledger: Ledger, action: SearchAction): Booked {
  const booked = (next: Population, view: readonly number[] = [], score: readonly number[] = []) => ({
    action,
    next,
    view,
    score,
  });
  if (action.type === "start") return booked(ledger.start(action.width));
  const { population } = action;
  switch (action.type) {
    case "step":
      return booked(ledger.step(population));
    case "refine":
      return booked(ledger.refine(population, action.share));
    case "rewind":
      return booked(ledger.rewind(population, action.to));
    case "score": {
      const { view, score } = ledger.score(population, action.rows, action.reward, action.view);
      return booked(population, view, score);
    }
    case "atoms":
      ledger.atoms(population, action.reward, action.view);
      return booked(population);
    case "features":
      return booked(population, ledger.features(population, action.view));
    case "tokens":
      ledger.tokens(population);
      return booked(population);
    case "select":
    case "branch":
      return booked(ledger[action.type](population, action.picks));
    case "release":
      ledger.release(population);
      return booked(population);
  }
}

/**
 * The one loop of every search: books what the program asks for, yields it to whoever can see (models, a recording, a
 * tree, nobody), and resumes the program with what was seen. Ends with the outcome, the finalists' full views booked;
 * rows of them that are not at hand are in `finals`.
 */
export function* turns(
  program: SearchProgram<SearchOutcome>,
  ledger: Ledger,
): Generator<Booked, { outcome: SearchOutcome; finals: readonly number[] }, Sights[Sight]> {
  let turn = program.next();
  while (!turn.done) {
    const booked = book(ledger, turn.value);
    const seen = yield booked;
    turn = program.next({ population: booked.next, seen });
  }
  const outcome = turn.value;
  const { finalists } = outcome;
  return {
    outcome,
    finals: ledger.view(
      finalists,
      finalists.ids.map((_, row) => row),
      FULL_VIEW,
    ),
  };
}

/** Where what is seen comes from: one method for each kind of sight, whatever the verbs. */
export type Witness = {
  readonly [Kind in Exclude<Sight, "nothing">]: (booked: Booked) => Sights[Kind];
};

/** Runs a program to its end on what a witness has seen; `after` is told of every booked action. */
export function drive(
  program: SearchProgram<SearchOutcome>,
  ledger: Ledger,
  witness: Witness,
  after?: (booked: Booked, seen: Sights[Sight]) => void,
): SearchOutcome {
  const loop = turns(program, ledger);
  let turn = loop.next();
  while (!turn.done) {
    const booked = turn.value;
    const sight = SIGHT_OF[booked.action.type];
    const seen = sight === "nothing" ? null : witness[sight](booked);
    after?.(booked, seen);
    turn = loop.next(seen);
  }
  return turn.value.outcome;
}

/**
 * A strategy's program, completed by what every search ends with: the finalists are looked at in full and scored with the
 * primary reward, unless the program has done so itself.
 */
export function* finish(strategy: SearchFunction, space: SearchSpace): SearchProgram<SearchOutcome> {
  const outcome = yield* strategy(space);
  const { finalists } = outcome;
  const rows = finalists.ids.map((_, row) => row);
  yield { type: "score", population: finalists, rows, reward: space.reward, view: FULL_VIEW };
  return outcome;
}
