import type { Budget, CostKind } from "./budget.ts";
import type { LatentSize } from "./generator.ts";
import { type CandidateId, childIds, rootIds } from "./ids.ts";
import type { CostModel, Population } from "./strategy.ts";

/** What happened at one scale: candidates through it, observations of them, FLOPs by kind. */
export interface LedgerRow {
  readonly scale: number;
  /** Candidates that the scale was computed for. */
  widthIn: number;
  /** Candidates that went on after the decisions taken there. */
  widthOut: number;
  decodes: number;
  scores: number;
  features: number;
  /** Selections and branchings. */
  decisions: number;
  readonly flops: Record<CostKind, number>;
}

/**
 * Books every action of a search program: which populations live, what has been decoded and scored already, and what
 * each action costs. Whoever drives a program (live, dry, from a recording) books through the same ledger, so a plan
 * and the run that follows it cannot disagree. Charges come before the work.
 *
 * Prices: the text encoder once; a stage once per candidate, or once in all for shared stages; a preview once per
 * (candidate, stage, latent size), shared by rewards and features; a score once per (candidate, stage, size, reward);
 * features per candidate each time they are asked for; reading tokens, selecting, branching and releasing nothing.
 */
export class Ledger {
  readonly rows: readonly LedgerRow[];
  readonly #cost: CostModel;
  readonly #budget: Budget;
  readonly #live = new Map<number, Population>();
  readonly #copies = new Map<CandidateId, number>();
  readonly #decoded = new Map<string, string>();
  readonly #scored = new Set<string>();
  #roots = 0;
  #keys = 0;
  #textPaid = false;

  constructor(cost: CostModel, budget: Budget) {
    this.#cost = cost;
    this.#budget = budget;
    this.rows = cost.stages.map((_, scale) => ({
      scale,
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
    if (!this.#textPaid) this.#charge("text", this.#cost.text, 0);
    this.#textPaid = true;
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
    this.#charge("transformer", flops * (stage < this.#cost.sharedStages ? 1 : width), stage);
    const row = this.rows[stage]!;
    row.widthIn += width;
    row.widthOut += width;
    return this.#replace(population, { key: population.key, ids: population.ids, stage: stage + 1 });
  }

  /** Books previews; returns the rows that still have to be decoded. */
  decode(population: Population, rows: readonly number[], latent: LatentSize | null): number[] {
    this.#expectLive(population);
    const missing: number[] = [];
    for (const row of rows) {
      const key = previewKey(idAt(population, row), population.stage, latent);
      if (this.#decoded.has(key)) continue;
      this.#decoded.set(key, momentKey(idAt(population, row), population.stage));
      missing.push(row);
    }
    this.#row(population).decodes += missing.length;
    this.#charge("decode", missing.length * this.#cost.decode(latent), population.stage - 1);
    return missing;
  }

  /** Books scores; returns the rows that have none yet, whose previews must be booked with `decode` first. */
  score(
    population: Population,
    rows: readonly number[],
    reward: string,
    latent: LatentSize | null,
  ): number[] {
    this.#expectLive(population);
    const missing: number[] = [];
    for (const row of rows) {
      const key = `${previewKey(idAt(population, row), population.stage, latent)} ${reward}`;
      if (this.#scored.has(key)) continue;
      this.#scored.add(key);
      missing.push(row);
    }
    const price = this.#cost.reward(reward);
    if (missing.length > 0) this.decode(population, missing, latent);
    this.#row(population).scores += missing.length;
    this.#charge("reward", missing.length * price, population.stage - 1);
    return missing;
  }

  /** Books feature vectors of all candidates; their previews must be booked with `decode` first. */
  features(population: Population): void {
    this.#expectLive(population);
    this.#row(population).features += population.ids.length;
    this.#charge("features", population.ids.length * this.#cost.features, population.stage - 1);
  }

  /** Books a look at the latest tokens, which costs nothing. */
  tokens(population: Population): void {
    this.#expectLive(population);
    this.#row(population);
  }

  /** Books the full-size images of the finalists; returns the rows that are not decoded at the moment. */
  finals(population: Population): number[] {
    return this.decode(
      population,
      population.ids.map((_, row) => row),
      null,
    );
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

  /** Whether a preview is still booked; the driver drops images of which it is not. */
  holds(key: string): boolean {
    return this.#decoded.has(key);
  }

  #charge(kind: CostKind, flops: number, scale: number): void {
    if (flops === 0) return;
    this.#budget.charge(kind, flops, kind === "transformer" ? scale : undefined);
    this.rows[scale]!.flops[kind] += flops;
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

  /** Drops previews that no live population can ask for again. */
  #forget(): void {
    if (this.#decoded.size === 0) return;
    const alive = new Set<string>();
    for (const { ids, stage } of this.#live.values()) for (const id of ids) alive.add(momentKey(id, stage));
    for (const [key, moment] of this.#decoded) if (!alive.has(moment)) this.#decoded.delete(key);
  }
}

/** Identity of a preview: candidate, stages done, latent size. */
export function previewKey(id: CandidateId, stage: number, latent: LatentSize | null): string {
  return `${id}@${stage}${latent ? `:${latent.h}x${latent.w}` : ""}`;
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
