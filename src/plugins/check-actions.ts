import type { View } from "../core/generator.ts";
import type { Population, SearchAction, SearchObservation, SearchOutcome } from "../core/program.ts";
import type { SearchSpace } from "../core/strategy.ts";

/**
 * Follows a search program, to say in its author's words what the engine would refuse: which populations live, how many
 * candidates they have and how far they are.
 */
export class ActionChecks {
  readonly #space: SearchSpace;
  readonly #live = new Map<number, Population>();

  constructor(space: SearchSpace) {
    this.#space = space;
  }

  /** What is wrong with an action, or null. */
  problemOf(action: SearchAction): string | null {
    if (action.type === "start") {
      if (Number.isInteger(action.width) && action.width >= 1) return null;
      return `starts ${show(action.width)} candidates; start takes a whole number from 1`;
    }
    const stale = this.#stale(action.population, action.type);
    if (stale) return stale;
    const { ids, stage } = action.population;
    const stages = this.#space.stages.length;
    switch (action.type) {
      case "step":
        return stage < stages
          ? null
          : `steps candidates that have done all ${stages} stages; step no further`;
      case "refine":
        if (action.share > 0 && action.share <= 1) return this.#tooEarly(stage, action.type);
        return `refines a share of ${show(action.share)}; give one above 0 and at most 1`;
      case "rewind":
        return Number.isInteger(action.to) && action.to >= 0 && action.to < stage
          ? null
          : `rewinds to stage ${show(action.to)} from ${stage}; give a whole number below it`;
      case "score":
        return (
          this.#tooEarly(stage, action.type) ??
          outside(action.rows, ids.length, "scores row") ??
          this.#unknownReward(action.reward) ??
          this.#badView(action.view)
        );
      case "atoms":
        return (
          this.#tooEarly(stage, action.type) ??
          this.#unknownReward(action.reward) ??
          this.#badView(action.view)
        );
      case "features":
        return this.#tooEarly(stage, action.type) ?? this.#badView(action.view);
      case "tokens":
        return this.#tooEarly(stage, action.type);
      case "select":
      case "branch": {
        const { type, picks } = action;
        if (!Array.isArray(picks) || picks.length === 0)
          return `picks nobody in ${type}; give at least one row of the population`;
        return outside(picks, ids.length, "picks row");
      }
      default:
        return null;
    }
  }

  /** Remembers which populations there are after an action. */
  done(action: SearchAction, observation: SearchObservation): void {
    if (action.type === "select" || action.type === "release") this.#live.delete(action.population.key);
    if (action.type !== "release") this.#live.set(observation.population.key, observation.population);
  }

  /** What is wrong with an answer, or null. */
  problemOfAnswer({ finalists, best }: SearchOutcome): string | null {
    const stages = this.#space.stages.length;
    const stale = this.#stale(finalists, "return");
    if (stale) return stale;
    if (finalists.stage < stages)
      return `returns finalists that have done ${finalists.stage} of ${stages} stages; finish them with stepTo(population, space.stages.length)`;
    return outside([best], finalists.ids.length, "returns as best row");
  }

  #stale(population: Population | undefined, verb: string): string | null {
    const known = population && this.#live.get(population.key);
    if (known === population && known !== undefined) return null;
    if (!population || !Array.isArray(population.ids)) return `gives ${verb} no population`;
    return `uses a population in ${verb} that was replaced or released before; go on with what step and select give back`;
  }

  #tooEarly(stage: number, verb: string): string | null {
    return stage > 0
      ? null
      : `asks for ${verb} before the first stage, when there is nothing to see; step first`;
  }

  #unknownReward(reward: string): string | null {
    const known = Object.keys(this.#space.rewards);
    if (known.includes(reward)) return null;
    return `scores with ${show(reward)}, which this search does not have; it has ${known.join(", ")}`;
  }

  #badView(view: View): string | null {
    const { looks } = this.#space;
    if (looks.includes(view?.look) && view.size > 0 && view.size <= 1) return null;
    return `asks for a view of ${show(view)}; views have a size above 0 and at most 1, and look ${looks.join(" or ")}`;
  }
}

function outside(rows: readonly number[], length: number, doing: string): string | null {
  if (!Array.isArray(rows)) return `${doing} ${show(rows)}; give a list of row numbers`;
  const wrong = rows.find((row) => !Number.isInteger(row) || row < 0 || row >= length);
  if (wrong === undefined) return null;
  return `${doing} ${show(wrong)} of ${length}; rows are whole numbers from 0 to ${length - 1}`;
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
}
