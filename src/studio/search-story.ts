import type { Stage } from "../core/generator.ts";
import { type CandidateId, compareIds, parentOf } from "../core/ids.ts";
import type { TraceEvent } from "../core/trace.ts";
import type { CandidateView, Fate, StageView } from "./api-types.ts";

/** Candidates of a stage that a view has; a page with more of them would not be looked at. */
const MOST_SHOWN = 256;
const RANKS = { best: 0, kept: 1, alive: 2, dropped: 3 } as const satisfies Record<Fate, number>;

type Draft = { -readonly [Key in keyof CandidateView]: CandidateView[Key] };

/** A search as its trace tells it, event by event: the same for a running search and for one that was read from a folder. */
export class SearchStory {
  readonly #reward: string;
  readonly #stages: Map<CandidateId, Draft>[] = [];
  /** Who is in a population, and after how many stages. */
  readonly #populations = new Map<number, { ids: readonly CandidateId[]; stage: number }>();
  #best: CandidateId | null = null;

  constructor(reward: string) {
    this.#reward = reward;
  }

  get best(): CandidateId | null {
    return this.#best;
  }

  tell(event: TraceEvent): void {
    switch (event.type) {
      case "start":
        this.#populations.set(event.population, { ids: event.ids, stage: -1 });
        break;
      case "step":
      case "refine":
      case "rewind": {
        const { population, ids, stage } = event;
        this.#populations.set(population, { ids, stage });
        if (event.type === "rewind") break;
        for (const id of ids) {
          const before = event.type === "step" ? this.#stages[stage - 1]?.get(id) : undefined;
          if (before?.fate === "alive") before.fate = "kept";
          this.#at(stage, id);
        }
        break;
      }
      case "scores":
        if (event.reward !== this.#reward) break;
        event.ids.forEach((id, index) => {
          this.#at(event.stage, id).score = event.raw[index]!;
        });
        break;
      case "select":
      case "branch":
        this.#choose(event);
        break;
      case "end": {
        this.#best = event.best;
        const finalists = new Set(event.finalists);
        for (const [id, draft] of this.#stages.at(-1) ?? []) {
          draft.fate = id === event.best ? "best" : finalists.has(id) ? "kept" : "dropped";
        }
        break;
      }
    }
  }

  /** Remembers that a picture of a candidate exists. */
  seen(stage: number, id: CandidateId, width: number): void {
    this.#at(stage, id).picture = width;
  }

  /** @param stages of the model, for their labels; those beyond are numbered */
  view(stages: readonly Pick<Stage, "label">[]): StageView[] {
    return this.#stages.map((candidates, stage) => ({
      stage,
      label: stages[stage]?.label ?? "",
      candidates: shown([...candidates.values()]),
      hidden: Math.max(0, candidates.size - MOST_SHOWN),
    }));
  }

  #at(stage: number, id: CandidateId): Draft {
    while (this.#stages.length <= stage) this.#stages.push(new Map());
    const known = this.#stages[stage]!.get(id);
    if (known) return known;
    const parent = parentOf(id);
    const made: Draft = {
      id,
      parent,
      score: null,
      cluster: null,
      weight: null,
      fate: "alive",
      picture: null,
    };
    this.#stages[stage]!.set(id, made);
    return made;
  }

  #choose({ type, population, from, picks, ids, why }: TraceEvent & { type: "select" | "branch" }): void {
    const before = this.#populations.get(from);
    if (!before) return;
    const { stage } = before;
    this.#populations.set(population, { ids, stage });
    if (stage < 0) return;
    const picked = new Set(picks);
    before.ids.forEach((id, row) => {
      const draft = this.#at(stage, id);
      draft.cluster = numberAt(why["labels"], row) ?? draft.cluster;
      draft.weight = numberAt(why["weights"], row) ?? draft.weight;
      // Of a branch the others stay alive beside the chosen ones.
      if (picked.has(row)) draft.fate = "kept";
      else if (type === "select") draft.fate = "dropped";
    });
    if (type === "select") this.#populations.delete(from);
  }
}

/** Those that went farthest, if there are too many. */
function shown(candidates: readonly CandidateView[]): CandidateView[] {
  const byFate = [...candidates].sort((a, b) => RANKS[a.fate] - RANKS[b.fate] || compareIds(a.id, b.id));
  return byFate.slice(0, MOST_SHOWN).sort((a, b) => compareIds(a.id, b.id));
}

function numberAt(list: unknown, row: number): number | null {
  const value: unknown = Array.isArray(list) ? list[row] : undefined;
  return typeof value === "number" ? value : null;
}
