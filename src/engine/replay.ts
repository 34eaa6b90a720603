import { Budget } from "../core/budget.ts";
import { type Booked, finish, turns } from "../core/drive.ts";
import { TtsVarError } from "../core/errors.ts";
import { Ledger } from "../core/ledger.ts";
import { type ActionOf, SIGHT_OF, type Sight, type Sights } from "../core/program.ts";
import type { TraceEvent } from "../core/trace.ts";
import { endEvent, eventOf, oriented, recordedFeatures, recordedSignals, recordedTokens } from "./events.ts";
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
 * @throws EVAL_DATA when the trace does not begin with `begin`, or with one of another schema
 */
export function replayTrace(input: PlanInput, trace: readonly TraceEvent[]): Replay {
  const begin = trace[0];
  if (begin?.type !== "begin") throw new TtsVarError("EVAL_DATA", "a trace must begin with a begin event");
  if (begin.schemaVersion !== 2) {
    throw new TtsVarError(
      "EVAL_DATA",
      `this trace has schema ${begin.schemaVersion}, but this version reads 2; replay it with the version that wrote it`,
    );
  }
  const { seed, prompt } = begin.task;
  const budget = new Budget(begin.limit, input.generator.stages.length);
  const space = createSpace({ ...input, seed, prompt, units: begin.units }, () => budget.remaining());
  const loop = turns(finish(input.strategy, space), new Ledger(space.cost, budget));
  const run = { tokens: space.tokens, rewards: input.rewards };
  let index = 1;
  const differs = (replayed: TraceEvent | null): Replay => ({
    agreed: index,
    difference: { index, recorded: trace[index] ?? null, replayed },
  });
  let turn = loop.next();
  while (!turn.done) {
    const booked = turn.value;
    const seen = recall(booked, trace[index], run.rewards);
    const event = eventOf(booked, seen ?? NOTHING[SIGHT_OF[booked.action.type]], run);
    if (seen === undefined || !same(event, trace[index])) return differs(event);
    index += 1;
    turn = loop.next(seen);
  }
  const end = endEvent(turn.value.outcome, budget.spending());
  if (!same(end, trace[index])) return differs(end);
  index += 1;
  return index < trace.length ? differs(null) : { agreed: index, difference: null };
}

/** What the recording saw of an action; undefined if it recorded another one. */
function recall(
  { action }: Booked,
  recorded: TraceEvent | undefined,
  rewards: PlanInput["rewards"],
): Sights[Sight] | undefined {
  if (recorded?.type !== (action.type === "score" ? "scores" : action.type)) return undefined;
  switch (recorded.type) {
    case "scores":
      return oriented(recorded.raw, rewards[(action as ActionOf<"score">).reward]!);
    case "atoms":
      return recorded.atoms;
    case "features":
      return recordedFeatures(recorded);
    case "tokens":
      return recordedTokens(recorded);
    default:
      return "signals" in recorded ? recordedSignals(recorded) : null;
  }
}

/** Empty values where a model would have spoken, to tell what the program asked for. */
const NOTHING: Sights = {
  nothing: null,
  signals: { tokenHash: [], values: {} },
  scores: new Float64Array(),
  atoms: [],
  features: { dims: [], data: new Float32Array() },
  tokens: [],
};

/** Equality of events as they stand in a trace file. */
function same(event: TraceEvent, recorded: TraceEvent | undefined): boolean {
  return recorded !== undefined && JSON.stringify(event) === JSON.stringify(recorded);
}
