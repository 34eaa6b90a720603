import type { Recommendation } from "../core/calibration.ts";
import { TtsVarError } from "../core/errors.ts";
import type { SearchFunction } from "../core/strategy.ts";
import { createSpace, type PlanInput } from "../engine/plan.ts";
import { decideOffline, NotRecorded } from "./decide-offline.ts";
import type { Tree } from "./record-tree.ts";

/** A strategy that may be recommended. */
export interface Candidate {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly search: SearchFunction;
}

export interface RecommendInput {
  readonly trees: readonly { readonly tree: Tree; readonly prompt: string; readonly seed: number | string }[];
  readonly plan: Omit<PlanInput, "strategy" | "units" | "seed" | "prompt">;
  /** The first one is what the others have to beat. */
  readonly candidates: readonly Candidate[];
  readonly budgets: readonly number[];
  /** What an answer is worth: right or not, or a reward. */
  value(tree: Tree, root: number): number;
}

/** Standard errors of the paired difference that a candidate must be ahead of the first one by. */
const MARGIN = 1;

/**
 * Which strategy is best at which budget, decided on recorded trees: the one with the highest mean value, if it is ahead of
 * the first candidate by a margin; otherwise the first. Candidates that trees cannot decide (more roots than were drawn, or
 * a budget that is too small for them) are left out at that budget.
 */
export function recommend({ trees, plan, candidates, budgets, value }: RecommendInput): Recommendation[] {
  const { unit } = createSpace({ ...plan, strategy: candidates[0]!.search, units: 1 }, (limit) => limit).cost;
  return budgets.flatMap((units) => {
    const answers = candidates.flatMap(({ name, options, search }) => {
      const values = valuesOf(search);
      return values
        ? [
            {
              name,
              options,
              values: values.map(({ value }) => value),
              spent: mean(values.map(({ spent }) => spent)),
            },
          ]
        : [];
    });
    const [first, ...others] = answers;
    if (!first || first.name !== candidates[0]!.name) return [];
    const ahead = others
      .map((other) => ({ ...other, ...paired(other.values, first.values) }))
      .filter(({ gain, error }) => gain > MARGIN * error)
      .sort((a, b) => b.gain - a.gain);
    const { name, options, spent, gain, error } = ahead[0] ?? { ...first, gain: 0, error: 0 };
    return [{ units, strategy: name, options, gain, error, spent }];

    function valuesOf(search: SearchFunction): { value: number; spent: number }[] | null {
      try {
        return trees.map(({ tree, prompt, seed }) => {
          const decided = decideOffline({ ...plan, strategy: search, units, prompt, seed }, tree, {
            features: false,
          });
          return { value: value(tree, decided.root), spent: decided.spending.total / unit };
        });
      } catch (error) {
        if (error instanceof NotRecorded || cannotRun(error)) return null;
        throw error;
      }
    }
  });
}

/** A budget or a calibration that has not what a strategy needs. */
function cannotRun(error: unknown): boolean {
  return (
    error instanceof TtsVarError && (error.code === "BUDGET_INFEASIBLE" || error.code === "CONFIG_INVALID")
  );
}

/** Mean difference and its standard error, over prompts. */
function paired(values: readonly number[], others: readonly number[]): { gain: number; error: number } {
  const differences = values.map((value, at) => value - others[at]!);
  const gain = mean(differences);
  const squares = differences.reduce((sum, each) => sum + (each - gain) ** 2, 0);
  const count = differences.length;
  return { gain, error: count > 1 ? Math.sqrt(squares / (count - 1) / count) : Number.POSITIVE_INFINITY };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
