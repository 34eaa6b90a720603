import { Budget } from "../core/budget.ts";
import { finish } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import { Ledger } from "../core/ledger.ts";
import type { SearchAction, SearchObservation } from "../core/strategy.ts";
import type { TraceEvent } from "../core/trace.ts";
import {
  bitsTensor,
  endEvent,
  featuresEvent,
  recordedFeatures,
  scoresEvent,
  selectionEvent,
  startEvent,
  stepEvent,
  tokensEvent,
} from "./events.ts";
import { oriented } from "./models-witness.ts";
import { createSpace, type PlanInput } from "./plan.ts";

/** The first point at which the program acts otherwise than recorded. */
export interface Difference {
  /** Index of the event in the trace. */
  readonly index: number;
  readonly recorded: TraceEvent | null;
  /** The event that the replay gives instead; null when the recording goes on but the program has ended. */
  readonly replayed: TraceEvent | null;
}

export interface Replay {
  /** Events that agree. */
  readonly agreed: number;
  readonly difference: Difference | null;
}

/**
 * Runs a strategy again on recorded observations, without models, and compares every event it gives with the recording.
 * `begin` is skipped: it describes the run and is not a decision.
 *
 * @throws EVAL_DATA when the trace does not begin with `begin`
 */
export function replayTrace(input: PlanInput, trace: readonly TraceEvent[]): Replay {
  const begin = trace[0];
  if (begin?.type !== "begin") throw new TtsVarError("EVAL_DATA", "a trace must begin with a begin event");
  const budget = new Budget(begin.limit, input.generator.scales.length);
  const space = createSpace({ ...input, seed: begin.seed, prompt: begin.prompt, units: begin.units }, () =>
    budget.remaining(),
  );
  const ledger = new Ledger(space.cost, budget);
  const program = finish(input.strategy, space);
  let index = 1;
  const differs = (replayed: TraceEvent | null): Replay => ({
    agreed: index,
    difference: { index, recorded: trace[index] ?? null, replayed },
  });
  let turn = program.next();
  while (!turn.done) {
    const recorded = trace[index];
    const { event, observation } = retell(turn.value, recorded, ledger, input);
    if (!observation || !same(event, recorded)) return differs(event);
    index += 1;
    turn = program.next(observation);
  }
  ledger.finals(turn.value.finalists);
  const end = endEvent(turn.value, budget.spending());
  if (!same(end, trace[index])) return differs(end);
  index += 1;
  return index < trace.length ? differs(null) : { agreed: index, difference: null };
}

/**
 * Books an action and answers it from the recording. Without a matching recorded observation there is only the event,
 * with empty values where a model would have spoken.
 */
function retell(
  action: SearchAction,
  recorded: TraceEvent | undefined,
  ledger: Ledger,
  input: PlanInput,
): { event: TraceEvent; observation: SearchObservation | null } {
  switch (action.type) {
    case "start": {
      const population = ledger.start(action.width);
      return { event: startEvent(population), observation: { type: "population", population } };
    }
    case "step": {
      const population = ledger.step(action.population);
      const known = recorded?.type === "step" ? recorded : null;
      const signals = {
        tokenHash: known?.tokens ?? [],
        logProb: Float64Array.from(known?.logProb ?? []),
        entropy: Float64Array.from(known?.entropy ?? []),
        guidanceGap: Float64Array.from(known?.guidanceGap ?? []),
      };
      const event = stepEvent(population, signals);
      return { event, observation: known && { type: "stepped", population, signals } };
    }
    case "score": {
      const { population, rows, reward, latent } = action;
      ledger.score(population, rows, reward, latent);
      const known = recorded?.type === "scores" ? recorded : null;
      const event = scoresEvent(action, known?.raw ?? []);
      return {
        event,
        observation: known && { type: "scores", scores: oriented(known.raw, input.rewards[reward]!) },
      };
    }
    case "features": {
      const rows = action.population.ids.map((_, row) => row);
      ledger.decode(action.population, rows, action.latent);
      ledger.features(action.population);
      const known = recorded?.type === "features" ? recordedFeatures(recorded) : null;
      const event = featuresEvent(action, known ?? { dims: [], data: new Float32Array() });
      return { event, observation: known && { type: "features", features: known } };
    }
    case "tokens": {
      ledger.tokens(action.population);
      const known = recorded?.type === "tokens" ? bitsTensor(recorded) : null;
      const event = tokensEvent(action, known ?? { dims: [], data: new Float32Array() });
      return { event, observation: known && { type: "tokens", tokens: known } };
    }
    case "select":
    case "branch": {
      const population = ledger[action.type](action.population, action.picks);
      return { event: selectionEvent(action, population), observation: { type: "population", population } };
    }
    case "release":
      ledger.release(action.population);
      return {
        event: { type: "release", population: action.population.key },
        observation: { type: "released" },
      };
  }
}

/** Equality of events as they stand in a trace file. */
function same(event: TraceEvent, recorded: TraceEvent | undefined): boolean {
  return recorded !== undefined && JSON.stringify(event) === JSON.stringify(recorded);
}
