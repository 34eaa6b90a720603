import type { CostKind } from "../core/budget.ts";
import type { Booked } from "../core/drive.ts";
import {
  FULL_VIEW,
  type Generator,
  type Picture,
  type Session,
  stillOf,
  type View,
} from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import { type Ledger, viewKey } from "../core/ledger.ts";
import type { ActionOf, Population, Sight, Sights } from "../core/program.ts";
import type { Reward } from "../core/reward.ts";
import { type Task, toDraw } from "../core/task.ts";
import type { Tokens } from "../core/tokens.ts";
import { oriented } from "./events.ts";
import type { FeatureSource } from "./feature-source.ts";
import { atomsOf, extractVectors, scorePictures } from "./measure.ts";
import type { SearchTimer } from "./observer.ts";

export interface Models {
  readonly generator: Generator;
  readonly rewards: Readonly<Record<string, Reward>>;
  readonly features: FeatureSource | null;
  readonly task: Task;
  readonly signal: AbortSignal;
  readonly timing: SearchTimer | null;
  readonly log: (level: "debug" | "info" | "warn", message: string) => void;
}

/** Score of a candidate at one moment, as the reward gave it. */
export interface KnownScore {
  readonly raw: number;
  readonly detail: Readonly<Record<string, unknown>> | undefined;
}

/**
 * Lets the models work on what the ledger has booked, and reports what was seen. Keeps the generator's sessions, pictures
 * and scores; each view and each score is made once.
 */
export class ModelsWitness {
  readonly #models: Models;
  readonly #ledger: Ledger;
  readonly #sessions = new Map<number, Session>();
  readonly #pictures = new Map<string, Picture>();
  readonly #scores = new Map<string, KnownScore>();

  constructor(models: Models, ledger: Ledger) {
    this.#models = models;
    this.#ledger = ledger;
  }

  async see(booked: Booked): Promise<Sights[Sight]> {
    const seen = await this.#act(booked);
    this.#forget();
    return seen;
  }

  /** Full pictures of the finalists; `missing` rows are not at hand yet. */
  async finals(population: Population, missing: readonly number[]): Promise<Picture[]> {
    await this.#look(population, missing, FULL_VIEW);
    return population.ids.map((id) => this.#picture(id, population.stage, FULL_VIEW));
  }

  /** Tokens of all candidates of a population by stage: `[row][stage]`. */
  async tokens(population: Population): Promise<Tokens[][]> {
    const session = this.#session(population);
    const rows = rowsOf(population);
    const stages = Array.from({ length: population.stage }, (_, stage) => session.tokens(rows, stage));
    const byStage = await Promise.all(stages);
    return rows.map((row) => byStage.map((tokens) => tokens[row]!));
  }

  /** A finished candidate's score in full, if it was asked for. */
  finalScore(id: CandidateId, stage: number, reward: string): KnownScore | undefined {
    return this.#scores.get(scoreKey(id, stage, FULL_VIEW, reward));
  }

  /** Releases all sessions; called whether the search ended well or not. */
  close(): void {
    for (const session of this.#sessions.values()) session.release();
    this.#sessions.clear();
    this.#pictures.clear();
  }

  async #act(booked: Booked): Promise<Sights[Sight]> {
    const { action, next } = booked;
    switch (action.type) {
      case "start": {
        const { generator, task } = this.#models;
        const session = await this.#timed("text", 0, 1, () => generator.start(toDraw(task), next.ids));
        this.#sessions.set(next.key, session);
        return null;
      }
      case "step": {
        const { stage, ids } = action.population;
        return this.#timed("transformer", stage, ids.length, () => this.#session(next).step());
      }
      case "refine": {
        const session = this.#session(next);
        if (!session.refine) throw new RangeError(`${this.#models.generator.traits.name} cannot refine`);
        const { share } = action;
        return this.#timed("transformer", next.stage - 1, next.ids.length, () =>
          session.refine!(share, next.ids),
        );
      }
      case "rewind": {
        const session = this.#session(next);
        if (!session.rewind) throw new RangeError(`${this.#models.generator.traits.name} cannot rewind`);
        await session.rewind(next.stage, next.ids);
        return null;
      }
      case "score":
        return this.#score(booked as Booked<ActionOf<"score">>);
      case "atoms":
        return this.#atoms(action);
      case "features":
        return this.#features(booked as Booked<ActionOf<"features">>);
      case "tokens":
        return this.#session(next).tokens(rowsOf(next), next.stage - 1);
      case "select":
      case "branch":
        return this.#choose(booked as Booked<ActionOf<"select" | "branch">>);
      case "release":
        this.#sessions.get(next.key)?.release();
        this.#sessions.delete(next.key);
        return null;
    }
  }

  async #score({ action, view: looks, score: missing }: Booked<ActionOf<"score">>): Promise<Float64Array> {
    const { population, rows, reward: name, view } = action;
    const { stage } = population;
    const reward = this.#models.rewards[name]!;
    await this.#look(population, looks, view);
    if (missing.length > 0) {
      const { generator, task, signal, log } = this.#models;
      const ids = missing.map((row) => population.ids[row]!);
      const pictures = ids.map((id) => this.#picture(id, stage, view));
      const count = generator.traits.stages.length;
      const kind = stage === count && view.size === 1 ? ("final" as const) : ("preview" as const);
      const context = { signal, stage: { kind, index: stage - 1, count }, seed: task.seed, log };
      const scored = await this.#timed("reward", stage - 1, ids.length, () =>
        scorePictures({ name, reward, task, context }, ids, pictures),
      );
      ids.forEach((id, index) => {
        const known = { raw: scored.raw[index]!, detail: scored.details[index] };
        this.#scores.set(scoreKey(id, stage, view, name), known);
      });
    }
    const keys = rows.map((row) => scoreKey(population.ids[row]!, stage, view, name));
    const known = keys.map((key) => this.#scores.get(key)!);
    const raw = reward.among?.(known.map(({ detail }) => detail)) ?? known.map((score) => score.raw);
    if (reward.among) keys.forEach((key, at) => void this.#scores.set(key, { ...known[at]!, raw: raw[at]! }));
    return oriented(raw, reward);
  }

  #atoms({ population: { ids, stage }, reward, view }: ActionOf<"atoms">): Sights["atoms"] {
    return ids.map((id) => atomsOf(this.#scores.get(scoreKey(id, stage, view, reward))?.detail, reward, id));
  }

  async #features({ action, view: looks }: Booked<ActionOf<"features">>) {
    const { population, view } = action;
    const { ids, stage } = population;
    await this.#look(population, looks, view);
    const stills = ids.map((id) => stillOf(this.#picture(id, stage, view)));
    const source = this.#models.features!;
    return this.#timed("features", stage - 1, ids.length, () => extractVectors(source, ids, stills));
  }

  async #choose({ action, next }: Booked<ActionOf<"select" | "branch">>): Promise<null> {
    const { population, picks } = action;
    const session = this.#session(population);
    const named = picks.map((parent, row) => ({ parent, id: next.ids[row]! }));
    if (action.type === "branch") {
      this.#sessions.set(next.key, await session.branch(named));
      return null;
    }
    if (!isIdentity(picks, population.ids.length)) await session.select(named);
    this.#sessions.delete(population.key);
    this.#sessions.set(next.key, session);
    return null;
  }

  /** Makes booked views. */
  async #look(population: Population, rows: readonly number[], view: View): Promise<void> {
    if (rows.length === 0) return;
    const session = this.#session(population);
    const pictures = await this.#timed("decode", population.stage - 1, rows.length, () =>
      session.view(rows, view),
    );
    rows.forEach((row, index) => {
      this.#pictures.set(viewKey(population.ids[row]!, population.stage, view), pictures[index]!);
    });
  }

  #picture(id: CandidateId, stage: number, view: View): Picture {
    return this.#pictures.get(viewKey(id, stage, view))!;
  }

  #session(population: Population): Session {
    return this.#sessions.get(population.key)!;
  }

  #forget(): void {
    for (const key of this.#pictures.keys()) if (!this.#ledger.holds(key)) this.#pictures.delete(key);
  }

  async #timed<T>(kind: CostKind, stage: number, count: number, work: () => Promise<T>): Promise<T> {
    const end = this.#models.timing?.begin(kind, stage, count);
    const result = await work();
    end?.();
    return result;
  }
}

function rowsOf({ ids }: Population): number[] {
  return ids.map((_, row) => row);
}

function scoreKey(id: CandidateId, stage: number, view: View, reward: string): string {
  return `${viewKey(id, stage, view)} ${reward}`;
}

function isIdentity(picks: readonly number[], width: number): boolean {
  return picks.length === width && picks.every((pick, row) => pick === row);
}
