import type { Budget, CostKind } from "./budget.ts";
import type { View } from "./generator.ts";
import { type CandidateId, childIds, derivedIds, rootIds } from "./ids.ts";
import type { Population } from "./program.ts";
import type { CostModel } from "./strategy.ts";

/** What happened at one stage: candidates through it, observations of them, FLOPs by kind. */
export interface LedgerRow {
  readonly stage: number;
  /** Candidates that the stage was computed for. */
  widthIn: number;
  /** Candidates that went on after the decisions taken there. */
  widthOut: number;
  /** Looks at candidates. */
  decodes: number;
  scores: number;
  features: number;
  /** Selections, branchings, refinements and returns to earlier stages. */
  decisions: number;
  readonly flops: Record<CostKind, number>;
}

/**
 * Books every action of a search program: which populations live, what has been decoded and scored already, and what
 * each action costs. Whoever drives a program (live, dry, from a recording) books through the same ledger, so a plan
 * and the run that follows it cannot disagree. Charges come before the work.
 *
 * Prices: the prompt once; a stage once per candidate, or once in all for shared stages; a refinement its share of the
 * stage per candidate; a view once per (candidate, stage, size, look, quality), shared by rewards and features; a score once per
 * view and reward; features per candidate each time they are asked for; reading tokens and atoms, selecting, branching,
 * going back and releasing nothing.
 */
export class Ledger {
  readonly rows: readonly LedgerRow[];
  readonly #cost: CostModel;
  readonly #budget: Budget;
  readonly #live = new Map<number, Population>();
  readonly #copies = new Map<CandidateId, number>();
  readonly #viewed = new Map<string, string>();
  readonly #scored = new Set<string>();
  #roots = 0;
  #keys = 0;
  #promptPaid = false;

  constructor(cost: CostModel, budget: Budget) {
    this.#cost = cost;
    this.#budget = budget;
    this.rows = cost.stages.map((_, stage) => ({
      stage,
      widthIn: 0,
      widthOut: 0,
      decodes: 0,
      scores: 0,
      features: 0,
      decisions: 0,
      flops: { text: 0, transformer: 0, decode: 0, features: 0, reward: 0 },
    }));
  }

  start(width: number): Population {
    if (!Number.isInteger(width) || width < 1)
      throw new RangeError(`a population needs a width of at least 1, not ${width}`);
    if (!this.#promptPaid) this.#charge("text", this.#cost.prompt, 0);
    this.#promptPaid = true;
    const ids = rootIds(width, this.#roots);
    this.#roots += width;
    return this.#add(ids, 0);
  }

  step(population: Population): Population {
    this.#expectLive(population);
    const { stage } = population;
    const flops = this.#cost.stages[stage];
    if (flops === undefined)
      throw new RangeError(`population ${population.key} has done all ${stage} stages`);
    const width = population.ids.length;
    this.#charge("transformer", flops * (stage < this.#cost.shared ? 1 : width), stage);
    const row = this.rows[stage]!;
    row.widthIn += width;
    row.widthOut += width;
    return this.#replace(population, { key: population.key, ids: population.ids, stage: stage + 1 });
  }

  /** Books the drawing anew of a share of the latest stage's tokens; the candidates go on under new ids. */
  refine(population: Population, share: number): Population {
    this.#expectLive(population);
    if (!(share > 0 && share <= 1))
      throw new RangeError(`a refinement needs a share in (0, 1], not ${share}`);
    const row = this.#row(population);
    const at = population.stage - 1;
    this.#charge("transformer", population.ids.length * this.#cost.refine(at, share), at);
    row.decisions += 1;
    const ids = derivedIds(population.ids, this.#copies);
    return this.#replace(population, { key: population.key, ids, stage: population.stage });
  }

  /** Books the return to an earlier stage; the candidates go on under new ids. */
  rewind(population: Population, stage: number): Population {
    this.#expectLive(population);
    const row = this.#row(population);
    if (!Number.isInteger(stage) || stage < 0 || stage >= population.stage) {
      throw new RangeError(
        `population ${population.key} at stage ${population.stage} cannot go back to ${stage}`,
      );
    }
    row.widthOut -= population.ids.length;
    row.decisions += 1;
    const ids = derivedIds(population.ids, this.#copies);
    return this.#replace(population, { key: population.key, ids, stage });
  }

  /** Books views; returns the rows that nobody has looked at yet. */
  view(population: Population, rows: readonly number[], view: View): number[] {
    this.#expectLive(population);
    const missing: number[] = [];
    for (const row of rows) {
      const key = viewKey(idAt(population, row), population.stage, view);
      if (this.#viewed.has(key)) continue;
      this.#viewed.set(key, momentKey(idAt(population, row), population.stage));
      missing.push(row);
    }
    this.#row(population).decodes += missing.length;
    this.#charge("decode", missing.length * this.#cost.view(view, population.stage), population.stage - 1);
    return missing;
  }

  /** Books scores, with the views that they need; returns the rows to look at and those to score. */
  score(
    population: Population,
    rows: readonly number[],
    reward: string,
    view: View,
  ): { readonly view: readonly number[]; readonly score: readonly number[] } {
    this.#expectLive(population);
    const missing: number[] = [];
    for (const row of rows) {
      const key = `${viewKey(idAt(population, row), population.stage, view)} ${reward}`;
      if (this.#scored.has(key)) continue;
      this.#scored.add(key);
      missing.push(row);
    }
    const price = this.#cost.reward(reward);
    const looks = missing.length > 0 ? this.view(population, missing, view) : [];
    this.#row(population).scores += missing.length;
    this.#charge("reward", missing.length * price, population.stage - 1);
    return { view: looks, score: missing };
  }

  /** Books a look at what scores are made of, which costs nothing: they are at hand. */
  atoms(population: Population, reward: string, view: View): void {
    this.#expectLive(population);
    for (const id of population.ids) {
      if (this.#scored.has(`${viewKey(id, population.stage, view)} ${reward}`)) continue;
      throw new RangeError(
        `candidate ${id} was not scored with ${reward} in this view: score it before its atoms`,
      );
    }
  }

  /** Books feature vectors of all candidates, with the views that they need; returns the rows to look at. */
  features(population: Population, view: View): number[] {
    const rows = population.ids.map((_, row) => row);
    const looks = this.view(population, rows, view);
    this.#row(population).features += rows.length;
    this.#charge("features", rows.length * this.#cost.features, population.stage - 1);
    return looks;
  }

  /** Books a look at the latest tokens, which costs nothing. */
  tokens(population: Population): void {
    this.#expectLive(population);
    this.#row(population);
  }

  select(population: Population, picks: readonly number[]): Population {
    const child = this.branch(population, picks);
    if (population.stage > 0)
      this.rows[population.stage - 1]!.widthOut += picks.length - population.ids.length;
    this.#live.delete(population.key);
    this.#forget();
    return child;
  }

  branch(population: Population, picks: readonly number[]): Population {
    this.#expectLive(population);
    if (picks.length === 0)
      throw new RangeError(`population ${population.key}: a selection must keep someone`);
    if (population.stage > 0) this.rows[population.stage - 1]!.decisions += 1;
    return this.#add(childIds(population.ids, picks, this.#copies), population.stage);
  }

  release(population: Population): void {
    this.#expectLive(population);
    this.#live.delete(population.key);
    this.#forget();
  }

  /** Whether a view is still booked; the driver drops pictures of which it is not. */
  holds(key: string): boolean {
    return this.#viewed.has(key);
  }

  #charge(kind: CostKind, flops: number, stage: number): void {
    if (flops === 0) return;
    this.#budget.charge(kind, flops, kind === "transformer" ? stage : undefined);
    this.rows[stage]!.flops[kind] += flops;
  }

  #row(population: Population): LedgerRow {
    const row = this.rows[population.stage - 1];
    if (!row)
      throw new RangeError(`population ${population.key} has done no stage yet: there is nothing to look at`);
    return row;
  }

  #add(ids: readonly CandidateId[], stage: number): Population {
    const population = { key: this.#keys++, ids, stage };
    this.#live.set(population.key, population);
    return population;
  }

  #replace(old: Population, next: Population): Population {
    this.#live.set(old.key, next);
    this.#forget();
    return next;
  }

  #expectLive(population: Population): void {
    if (this.#live.get(population.key) !== population) {
      throw new RangeError(
        `population ${population.key} at stage ${population.stage} was replaced or released before`,
      );
    }
  }

  /** Drops views that no live population can ask for again. */
  #forget(): void {
    if (this.#viewed.size === 0) return;
    const alive = new Set<string>();
    for (const { ids, stage } of this.#live.values()) for (const id of ids) alive.add(momentKey(id, stage));
    for (const [key, moment] of this.#viewed) if (!alive.has(moment)) this.#viewed.delete(key);
  }
}

/** Identity of a view: candidate, stages done, size, look and quality. */
export function viewKey(id: CandidateId, stage: number, { size, look, quality }: View): string {
  return `${id}@${stage}:${size}${look === "ahead" ? "+" : ""}${quality === "draft" ? "~" : ""}`;
}

function momentKey(id: CandidateId, stage: number): string {
  return `${id}@${stage}`;
}

function idAt(population: Population, row: number): CandidateId {
  const id = population.ids[row];
  if (id === undefined) {
    throw new RangeError(
      `row ${row} is outside 0..${population.ids.length - 1} of population ${population.key}`,
    );
  }
  return id;
}
