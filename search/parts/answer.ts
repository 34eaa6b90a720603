import type { Population, SearchOutcome, SearchProgram } from "../../src/core/program.ts";
import { score, start, stepTo } from "../../src/core/program.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";
import { bestRow } from "./order.ts";

/** `count` independent finished candidates. */
export function* finishedRoots(space: SearchSpace, count: number): SearchProgram<Population> {
  return yield* stepTo(yield* start(count), space.stages.length);
}

/** Runs the remaining stages, scores, and answers with the best; ties go to the lowest id. */
export function* answerBest(
  space: SearchSpace,
  population: Population,
  reward = space.reward,
): SearchProgram<SearchOutcome> {
  const finalists = yield* stepTo(population, space.stages.length);
  const scores = yield* score(finalists, reward);
  return { finalists, best: bestRow(finalists.ids, scores) };
}

/** Whole samples that the budget is meant for: `--budget 8` means eight. */
export function wholeUnits(space: SearchSpace): number {
  return Math.max(1, Math.floor(space.units + 1e-9));
}
