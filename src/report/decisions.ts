import type { CandidateId } from "../core/ids.ts";
import type { TraceEvent } from "../core/trace.ts";

/** What the selections after one stage said, whatever the strategy: lists as long as the population are by candidate. */
export interface Decisions {
  readonly facts: Record<string, string | number>;
  readonly clusters: Map<CandidateId, number>;
  readonly values: Map<CandidateId, Record<string, number>>;
}

/** Reads why candidates were selected, by stage. */
export function readDecisions(events: readonly TraceEvent[]): readonly (Decisions | undefined)[] {
  const populations = new Map<number, { ids: readonly CandidateId[]; stage: number }>();
  const byStage: (Decisions | undefined)[] = [];
  for (const event of events) {
    if (event.type === "start") populations.set(event.population, { ids: event.ids, stage: -1 });
    else if (event.type === "step" || event.type === "refine" || event.type === "rewind")
      populations.set(event.population, { ids: event.ids, stage: event.stage });
    else if (event.type === "select" || event.type === "branch") {
      const from = populations.get(event.from);
      if (!from) continue;
      populations.set(event.population, { ids: event.ids, stage: from.stage });
      if (from.stage < 0) continue;
      byStage[from.stage] ??= { facts: {}, clusters: new Map(), values: new Map() };
      take(byStage[from.stage]!, from.ids, event.why);
    }
  }
  return byStage;
}

function take(into: Decisions, ids: readonly CandidateId[], why: Readonly<Record<string, unknown>>): void {
  for (const [name, said] of Object.entries(why)) {
    if (typeof said === "string" || typeof said === "number") into.facts[name] = said;
    else if (isByCandidate(said, ids)) {
      ids.forEach((id, row) => {
        if (name === "labels") into.clusters.set(id, said[row]!);
        else into.values.set(id, { ...into.values.get(id), [name]: said[row]! });
      });
    }
  }
}

function isByCandidate(said: unknown, ids: readonly CandidateId[]): said is readonly number[] {
  return Array.isArray(said) && said.length === ids.length && said.every((x) => typeof x === "number");
}
