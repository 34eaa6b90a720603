import { Budget, type Spending } from "../core/budget.ts";
import { type Booked, drive, finish, type Witness } from "../core/drive.ts";
import { rootOf } from "../core/ids.ts";
import { Ledger } from "../core/ledger.ts";
import type { ActionOf, Population } from "../core/program.ts";
import { pickRows } from "../core/tensor.ts";
import { oriented, recordedFeatures } from "../engine/events.ts";
import { createSpace, type PlanInput } from "../engine/plan.ts";
import { signalsOf, type Tree, tokensOf, viewKey } from "./record-tree.ts";

export interface OfflineDecision {
  /** Root of the tree that the strategy answers with. */
  readonly root: number;
  readonly spending: Spending;
}

/** Why a strategy cannot be decided on a tree: it copies, or asks for something that was not recorded. */
export class NotRecorded extends Error {}

/**
 * Decides a search on a recorded tree: the same program, the same charges, the same random numbers as live, with what the
 * models gave looked up. Exact for strategies that never copy a candidate.
 *
 * @param recorded whether the tree's features are those that the strategy would see
 * @throws NotRecorded when the strategy needs a live run
 */
export function decideOffline(
  input: PlanInput,
  tree: Tree,
  recorded: { readonly features: boolean } = { features: true },
): OfflineDecision {
  const probe = createSpace(input, (limit) => limit);
  const budget = new Budget(probe.limit, input.generator.stages.length);
  const space = createSpace(input, () => budget.remaining());
  const ledger = new Ledger(space.cost, budget);
  const witness = treeWitness(tree, input, recorded.features);
  const { finalists, best } = drive(finish(input.strategy, space), ledger, witness, (booked) =>
    expectRecorded(booked, tree),
  );
  return { root: rootOf(finalists.ids[best]!), spending: budget.spending() };
}

/** Only roots stand in a tree: no copies, and no more of them than were drawn. */
function expectRecorded({ action, next }: Booked, tree: Tree): void {
  switch (action.type) {
    case "start":
      if (Math.max(...rootsOf(next)) < tree.width) return;
      throw new NotRecorded(`the strategy starts more than the tree's ${tree.width} candidates`);
    case "select":
    case "branch":
      if (new Set(action.picks).size === action.picks.length) return;
      throw new NotRecorded("the strategy copies candidates");
    case "step":
    case "score":
    case "features":
    case "tokens":
    case "release":
      return;
    case "atoms":
      throw new NotRecorded("the tree has no atoms");
    default:
      throw new NotRecorded(`the strategy draws candidates anew (${action.type})`);
  }
}

function treeWitness(tree: Tree, input: PlanInput, knowsFeatures: boolean): Witness {
  const { shape } = input.generator;
  return {
    signals: ({ next }) => signalsOf(tree, next.stage - 1, rootsOf(next)),
    scores({ action }) {
      const { population, rows, reward, view } = action as ActionOf<"score">;
      const key = viewKey(reward, population.stage - 1, view, shape);
      const recorded = tree.scores[key];
      if (!recorded) throw new NotRecorded(`the tree has no ${key}`);
      const roots = rootsOf(population);
      return oriented(
        rows.map((row) => recorded[roots[row]!]!),
        input.rewards[reward]!,
      );
    },
    atoms() {
      throw new NotRecorded("the tree has no atoms");
    },
    features({ action }) {
      const { population, view } = action as ActionOf<"features">;
      const key = viewKey("features", population.stage - 1, view, shape);
      const recorded = knowsFeatures ? tree.features[key] : undefined;
      if (!recorded) throw new NotRecorded(`the tree has no ${key}`);
      return pickRows(recordedFeatures(recorded), rootsOf(population));
    },
    tokens({ next }) {
      const recorded = tokensOf(tree, next.stage - 1, rootsOf(next));
      if (!recorded) throw new NotRecorded("the tree has no tokens");
      return recorded;
    },
  };
}

function rootsOf({ ids }: Population): number[] {
  return ids.map(rootOf);
}
