import { type CandidateId, compareIds } from "../core/ids.ts";
import type { TraceEvent } from "../core/trace.ts";

/** What happened at one stage, read from a trace. */
export interface StageHistory {
  readonly stage: number;
  /** Candidates for which the stage was computed. */
  readonly alive: readonly CandidateId[];
  /** Candidates that went on; at the last stage the finalists. */
  readonly kept: ReadonlySet<CandidateId>;
  /** Raw scores of the previews (or finals) that were scored after this stage. */
  readonly scores: ReadonlyMap<CandidateId, number>;
}

export interface SearchHistory {
  readonly stages: readonly StageHistory[];
  /** Every candidate that ever lived: roots in order, each followed by its copies. */
  readonly ids: readonly CandidateId[];
  readonly best: CandidateId | null;
  readonly finalists: readonly CandidateId[];
}

/** Summarises a trace for pictures and tables. `reward` picks whose scores are shown. */
export function readHistory(events: readonly TraceEvent[], reward: string): SearchHistory {
  const alive: CandidateId[][] = [];
  const scores: Map<CandidateId, number>[] = [];
  let best: CandidateId | null = null;
  let finalists: readonly CandidateId[] = [];
  for (const event of events) {
    if (event.type === "step") {
      alive[event.stage] ??= [];
      alive[event.stage]!.push(...event.ids);
    } else if (event.type === "refine") {
      alive[event.stage]!.push(...event.ids);
    } else if (event.type === "scores" && event.reward === reward) {
      scores[event.stage] ??= new Map();
      event.ids.forEach((id, index) => {
        scores[event.stage]!.set(id, event.raw[index]!);
      });
    } else if (event.type === "end") {
      best = event.best;
      finalists = event.finalists;
    }
  }
  const stages = alive.map((ids, stage) => {
    const next = stage + 1 < alive.length ? alive[stage + 1]! : finalists;
    return { stage, alive: unique(ids), kept: new Set(next), scores: scores[stage] ?? new Map() };
  });
  return { stages, ids: unique(stages.flatMap((row) => row.alive)).sort(compareIds), best, finalists };
}

function unique(ids: readonly CandidateId[]): CandidateId[] {
  return [...new Set(ids)];
}
