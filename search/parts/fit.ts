import type { Calibration } from "../../src/core/calibration.ts";
import { dryRun } from "../../src/core/dry-run.ts";
import { TtsVarError } from "../../src/core/errors.ts";
import type { SearchOutcome, SearchProgram } from "../../src/core/program.ts";
import type { CostModel, SearchFunction, SearchSpace } from "../../src/core/strategy.ts";

/** Relative slack for the rounding of sums. */
const slack = 1 + 1e-9;

/** FLOPs that a program would spend, on its own. */
export function priceOf(program: SearchFunction, space: SearchSpace): number {
  return dryRun(program, space).spending.total;
}

/** Whether a program fits into what the budget allows. */
export function fits(program: SearchFunction, space: SearchSpace, limit = space.limit): boolean {
  return priceOf(program, space) <= limit * slack;
}

/** Finds the size of a family's program that a budget pays for: `widest`, `mostWhole`, or a rule of the strategy. */
type SizeRule = (family: (size: number) => SearchFunction, space: SearchSpace) => number;

/**
 * A strategy that comes in sizes, at the size that the budget pays for.
 *
 * @param run   program of a size; its price may depend on the model, the budget and the calibration only
 * @param given the size, if it is configured
 */
export function sizedToFit(
  run: (space: SearchSpace, size: number) => SearchProgram<SearchOutcome>,
  rule: SizeRule,
  given: number | null = null,
): SearchFunction {
  const fitted = fitOnce((size) => (space) => run(space, size), rule);
  return (space) => run(space, given ?? fitted(space));
}

/** Fits a family to budgets, remembering the answers: a strategy that runs on many prompts fits once. */
function fitOnce(family: (size: number) => SearchFunction, rule: SizeRule): (space: SearchSpace) => number {
  const known = new WeakMap<CostModel, { units: number; calibration: Calibration | null; size: number }[]>();
  return (space) => {
    const { cost, units, calibration } = space;
    const answers = known.get(cost) ?? [];
    known.set(cost, answers);
    const found = answers.find((answer) => answer.units === units && answer.calibration === calibration);
    if (found) return found.size;
    const size = rule(family, space);
    answers.push({ units, calibration, size });
    return size;
  };
}

/**
 * The widest program of a family that fits the budget, priced by dry runs. The price must not fall when the multiplier
 * grows.
 *
 * @param family program for a real multiplier > 0; near 0 the narrowest there is
 * @returns the largest multiplier that fits, to four digits
 * @throws BUDGET_INFEASIBLE with the numbers when not even the narrowest fits
 */
export function widest(family: (multiplier: number) => SearchFunction, space: SearchSpace): number {
  const narrow = 1e-6;
  if (!fits(family(narrow), space)) throw infeasible(priceOf(family(narrow), space), space);
  let low = narrow;
  let high = 1;
  const most = 1e6;
  while (high < most && fits(family(high), space)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1e-4 * high) {
    const middle = (low + high) / 2;
    if (fits(family(middle), space)) low = middle;
    else high = middle;
  }
  return low;
}

/** The largest whole number from `least` on whose program fits. */
export function mostWhole(family: (count: number) => SearchFunction, space: SearchSpace, least = 1): number {
  if (!fits(family(least), space)) throw infeasible(priceOf(family(least), space), space);
  let low = least;
  let high = least * 2;
  while (high < 2 ** 20 && fits(family(high), space)) {
    low = high;
    high *= 2;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(family(middle), space)) low = middle;
    else high = middle;
  }
  return low;
}

export function infeasible(flops: number, space: SearchSpace): TtsVarError {
  const needed = flops / space.cost.unit;
  return new TtsVarError(
    "BUDGET_INFEASIBLE",
    `this strategy needs at least ${needed.toFixed(3)} units (${flops.toExponential(3)} FLOPs) but --budget allows ` +
      `${space.units} (${space.limit.toExponential(3)}); raise --budget`,
    { details: { needed, units: space.units, flops, limit: space.limit } },
  );
}
