import { Budget, type Spending } from "../core/budget.ts";
import { finish } from "../core/dry-run.ts";
import type { LatentSize } from "../core/generator.ts";
import { Ledger } from "../core/ledger.ts";
import type { Population, SearchAction, SearchObservation } from "../core/program.ts";
import { pickRows } from "../core/tensor.ts";
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
  const budget = new Budget(probe.limit, input.generator.scales.length);
  const space = createSpace(input, () => budget.remaining());
  const ledger = new Ledger(space.cost, budget);
  const program = finish(input.strategy, space);
  let turn = program.next();
  while (!turn.done) turn = program.next(lookUp(turn.value, ledger, tree, input, recorded.features));
  const { finalists, best } = turn.value;
  ledger.finals(finalists);
  return { root: rootOf(finalists, best), spending: budget.spending() };
}

function lookUp(
  action: SearchAction,
  ledger: Ledger,
  tree: Tree,
  input: PlanInput,
  knowsFeatures: boolean,
): SearchObservation {
  switch (action.type) {
    case "start": {
      const population = ledger.start(action.width);
      if (rootOf(population, population.ids.length - 1) >= tree.width) {
        throw new NotRecorded(`the strategy starts more than the tree's ${tree.width} candidates`);
      }
      return { type: "population", population };
    }
    case "step": {
      const population = ledger.step(action.population);
      const signals = signalsOf(tree, population.stage - 1, rootsOf(population));
      return { type: "stepped", population, signals };
    }
    case "score": {
      const { population, rows, reward, latent } = action;
      ledger.score(population, rows, reward, latent);
      const view = viewOf(population, latent, reward, input.generator.latent);
      const recorded = tree.scores[view];
      if (!recorded) throw new NotRecorded(`the tree has no ${view}`);
      const sign = input.rewards[reward]!.direction === "lower" ? -1 : 1;
      return {
        type: "scores",
        scores: Float64Array.from(rows, (row) => sign * recorded[rootOf(population, row)]!),
      };
    }
    case "features": {
      const { population, latent } = action;
      ledger.decode(
        population,
        population.ids.map((_, row) => row),
        latent,
      );
      ledger.features(population);
      const view = viewOf(population, latent, "features", input.generator.latent);
      const recorded = knowsFeatures ? tree.features[view] : undefined;
      if (!recorded) throw new NotRecorded(`the tree has no ${view}`);
      const data = new Float32Array(Uint8Array.from(Buffer.from(recorded.base64, "base64")).buffer);
      return { type: "features", features: pickRows({ dims: recorded.dims, data }, rootsOf(population)) };
    }
    case "tokens": {
      const { population } = action;
      ledger.tokens(population);
      const recorded = tokensOf(tree, population.stage - 1, rootsOf(population));
      if (!recorded) throw new NotRecorded("the tree has no tokens");
      return { type: "tokens", tokens: recorded };
    }
    case "select":
    case "branch": {
      if (new Set(action.picks).size < action.picks.length)
        throw new NotRecorded("the strategy copies candidates");
      return { type: "population", population: ledger[action.type](action.population, action.picks) };
    }
    case "release":
      ledger.release(action.population);
      return { type: "released" };
  }
}

function viewOf({ stage }: Population, latent: LatentSize | null, what: string, full: LatentSize): string {
  const whole = latent && latent.h === full.h && latent.w === full.w ? null : latent;
  return viewKey(what, stage - 1, whole);
}

function rootsOf(population: Population): number[] {
  return population.ids.map((_, row) => rootOf(population, row));
}

function rootOf({ ids }: Population, row: number): number {
  return Number(ids[row]!.slice(1));
}
