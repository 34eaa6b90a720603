import type { CandidateId } from "../../src/core/ids.ts";
import type { Population, SearchOutcome, SearchProgram } from "../../src/core/program.ts";
import type { SearchFunction, SearchSpace } from "../../src/core/strategy.ts";

/** Somebody's judgement that a candidate, as it looked after a stage, shall not go on. */
export interface Rejection {
  readonly candidate: CandidateId;
  /** Index of the stage. Before it the candidate is treated like any other. */
  readonly stage: number;
}

/**
 * A strategy that obeys rejections, whatever strategy it is. From its stage on a rejected candidate scores like the worst of
 * the others; a selection that takes it takes the best candidate that was left out instead, or another chosen one a second
 * time; and it is not the answer. Where nothing else is left, a rejection has no effect. Costs are as before: who was chosen
 * changes, never how many. (A selection's copies of other candidates are judged by themselves.)
 */
export function rejecting(search: SearchFunction, rejections: readonly Rejection[]): SearchFunction {
  if (rejections.length === 0) return search;
  return (space) => obey(search(space), space, rejections);
}

function* obey(
  program: SearchProgram<SearchOutcome>,
  space: SearchSpace,
  rejections: readonly Rejection[],
): SearchProgram<SearchOutcome> {
  /** What was last seen of each candidate by the primary reward. */
  const scores = new Map<CandidateId, number>();
  const allowed = ({ ids, stage }: Population, row: number): boolean =>
    !rejections.some((rejection) => rejection.candidate === ids[row] && stage > rejection.stage);
  const byScore = ({ ids }: Population, rows: readonly number[]): number[] => {
    const value = (row: number): number => scores.get(ids[row]!) ?? Number.NEGATIVE_INFINITY;
    return [...rows].sort((a, b) => (value(a) === value(b) ? a - b : value(b) - value(a)));
  };
  let turn = program.next();
  while (!turn.done) {
    const action = turn.value;
    if (action.type === "select") {
      const { population, picks } = action;
      const others = byScore(
        population,
        population.ids.map((_, row) => row).filter((row) => allowed(population, row) && !picks.includes(row)),
      );
      turn = program.next(yield { ...action, picks: replaced(population, picks, allowed, others) });
      continue;
    }
    const answer = yield action;
    if (action.type !== "score") {
      turn = program.next(answer);
      continue;
    }
    const { population, rows, reward } = action;
    const seen = answer.seen as Float64Array;
    const worst = Math.min(...seen.filter((_, index) => allowed(population, rows[index]!)));
    const judged = seen.map((value, index) =>
      allowed(population, rows[index]!) || worst === Number.POSITIVE_INFINITY
        ? value
        : Math.min(value, worst),
    );
    if (reward === space.reward) {
      for (const [index, row] of rows.entries()) scores.set(population.ids[row]!, judged[index]!);
    }
    turn = program.next({ ...answer, seen: judged });
  }
  const { finalists, best } = turn.value;
  if (allowed(finalists, best)) return turn.value;
  const rows = finalists.ids.map((_, row) => row).filter((row) => allowed(finalists, row));
  return { finalists, best: byScore(finalists, rows)[0] ?? best };
}

/** The picks without rejected rows: the best of the others in their place, then the chosen ones in turn. */
function replaced(
  population: Population,
  picks: readonly number[],
  allowed: (population: Population, row: number) => boolean,
  others: readonly number[],
): readonly number[] {
  const chosen = [...new Set(picks)].filter((row) => allowed(population, row));
  const stand = [...others, ...chosen];
  if (stand.length === 0) return picks;
  let next = 0;
  return picks.map((row) => {
    if (allowed(population, row)) return row;
    return stand[next++ % stand.length]!;
  });
}
