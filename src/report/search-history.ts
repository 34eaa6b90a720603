import type { CandidateId } from "../core/ids.ts";
import type { TraceEvent } from "../core/trace.ts";

/** What happened at one scale, read from a trace. */
export interface ScaleHistory {
  readonly scale: number;
  /** Candidates for which the scale was computed. */
  readonly alive: readonly CandidateId[];
  /** Candidates that went on; at the last scale the finalists. */
  readonly kept: ReadonlySet<CandidateId>;
  /** Raw scores of the previews (or finals) that were scored after this scale. */
  readonly scores: ReadonlyMap<CandidateId, number>;
}

export interface SearchHistory {
  readonly scales: readonly ScaleHistory[];
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
      alive[event.scale] ??= [];
      alive[event.scale]!.push(...event.ids);
    } else if (event.type === "scores" && event.reward === reward) {
      scores[event.scale] ??= new Map();
      event.ids.forEach((id, index) => {
        scores[event.scale]!.set(id, event.raw[index]!);
      });
    } else if (event.type === "end") {
      best = event.best;
      finalists = event.finalists;
    }
  }
  const scales = alive.map((ids, scale) => {
    const next = scale + 1 < alive.length ? alive[scale + 1]! : finalists;
    return { scale, alive: unique(ids), kept: new Set(next), scores: scores[scale] ?? new Map() };
  });
  return { scales, ids: unique(scales.flatMap((row) => row.alive)).sort(compareIds), best, finalists };
}

function unique(ids: readonly CandidateId[]): CandidateId[] {
  return [...new Set(ids)];
}
