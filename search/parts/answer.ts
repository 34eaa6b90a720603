import { z } from "zod";
import { FULL_VIEW, type View } from "../../src/core/generator.ts";
import type { Population, SearchOutcome, SearchProgram } from "../../src/core/program.ts";
import { score, select, start, stepTo } from "../../src/core/program.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";
import { bestRow, topRows } from "./order.ts";

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

export const draftsSchema = z
  .boolean()
  .default(false)
  .describe("compare finished images by their drafts, where the model has them; answers are decoded in full");

/** How finished candidates are compared, and what each answer costs beyond that. */
export interface Comparison {
  readonly view: View;
  /** FLOPs of the full picture and its score, if comparing did not pay for them. */
  readonly answer: number;
}

/** By drafts where they are wanted, the model has them, and the budget pays for two of them and an answer. */
export function comparison({ drafts, cost, reward, limit }: SearchSpace, wanted: boolean): Comparison {
  const full = { view: FULL_VIEW, answer: 0 };
  if (!wanted || !drafts.includes("now")) return full;
  const view: View = { ...FULL_VIEW, quality: "draft" };
  const answer = cost.view(FULL_VIEW) + cost.reward(reward);
  const sample = cost.unit - cost.prompt - answer + cost.view(view) + cost.reward(reward);
  return cost.prompt + 2 * sample + answer > limit * (1 + 1e-9) ? full : { view, answer };
}

/** Runs the remaining stages, compares, and decodes only the `keep` best in full, among which the answer is. */
export function* answerBestOf(
  space: SearchSpace,
  population: Population,
  { view, answer }: Comparison,
  keep: number,
): SearchProgram<SearchOutcome> {
  if (answer === 0) return yield* answerBest(space, population);
  const finished = yield* stepTo(population, space.stages.length);
  const scores = yield* score(finished, space.reward, { view });
  const picks = topRows(finished.ids, scores, Math.min(keep, finished.ids.length));
  return yield* answerBest(space, yield* select(finished, picks, { rule: "draft", scores }));
}

/** Whole samples that the budget is meant for: `--budget 8` means eight. */
export function wholeUnits(space: SearchSpace): number {
  return Math.max(1, Math.floor(space.units + 1e-9));
}
