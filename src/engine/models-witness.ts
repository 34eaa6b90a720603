import type { CostKind } from "../core/budget.ts";
import type { Generator, LatentSize, SamplingSettings, Session } from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import { type Ledger, previewKey } from "../core/ledger.ts";
import type { Reward } from "../core/reward.ts";
import type { Population, SearchAction, SearchObservation } from "../core/strategy.ts";
import type { TraceEvent } from "../core/trace.ts";
import { featuresEvent, scoresEvent, selectionEvent, startEvent, stepEvent, tokensEvent } from "./events.ts";
import type { FeatureSource } from "./feature-source.ts";
import { extractVectors, scoreImages } from "./measure.ts";
import type { SearchTimer } from "./observer.ts";

export interface LiveInput {
  readonly generator: Generator;
  readonly rewards: Readonly<Record<string, Reward>>;
  readonly features: FeatureSource | null;
  readonly prompt: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly seed: number | string;
  readonly settings: SamplingSettings;
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
 * Does what a search program asks for: books it in the ledger (which charges it), lets the models work, and reports
 * what was seen together with the event for the trace. Keeps the generator's sessions, previews and scores; each preview
 * and each score is made once.
 */
export class LiveDriver {
  readonly #input: LiveInput;
  readonly #ledger: Ledger;
  readonly #sessions = new Map<number, Session>();
  readonly #images = new Map<string, RgbImage>();
  readonly #scores = new Map<string, KnownScore>();

  constructor(input: LiveInput, ledger: Ledger) {
    this.#input = input;
    this.#ledger = ledger;
  }

  async act(action: SearchAction): Promise<{ observation: SearchObservation; event: TraceEvent }> {
    switch (action.type) {
      case "start":
        return this.#start(action.width);
      case "step":
        return this.#step(action.population);
      case "score":
        return this.#score(action);
      case "features":
        return this.#features(action);
      case "tokens":
        return this.#tokens(action);
      case "select":
      case "branch":
        return this.#choose(action);
      case "release": {
        const { population } = action;
        this.#ledger.release(population);
        this.#drop(population);
        this.#forget();
        return { observation: { type: "released" }, event: { type: "release", population: population.key } };
      }
    }
  }

  /** Full-size images of the finalists, decoded now if they are not at hand. */
  async finals(population: Population): Promise<RgbImage[]> {
    await this.#decode(population, this.#ledger.finals(population), null);
    return population.ids.map((id) => this.#image(id, population.stage, null));
  }

  /** Tokens of all candidates of a population. */
  async bits(population: Population): Promise<Uint8Array[][]> {
    const session = this.#session(population);
    return Promise.all(population.ids.map((_, row) => session.bits(row)));
  }

  /** A finished candidate's score at full size, if it was asked for. */
  finalScore(id: CandidateId, stage: number, reward: string): KnownScore | undefined {
    return this.#scores.get(scoreKey(id, stage, null, reward));
  }

  /** Releases all sessions; called whether the search ended well or not. */
  close(): void {
    for (const session of this.#sessions.values()) session.release();
    this.#sessions.clear();
    this.#images.clear();
  }

  async #start(width: number) {
    const { generator, prompt, seed, settings } = this.#input;
    const population = this.#ledger.start(width);
    const session = await this.#timed("text", 0, 1, () =>
      generator.start({ prompt, seed, ids: population.ids, settings }),
    );
    this.#sessions.set(population.key, session);
    return { observation: { type: "population", population } as const, event: startEvent(population) };
  }

  async #step(before: Population) {
    const population = this.#ledger.step(before);
    const session = this.#session(before);
    const signals = await this.#timed("transformer", before.stage, before.ids.length, () => session.step());
    this.#forget();
    return {
      observation: { type: "stepped", population, signals } as const,
      event: stepEvent(population, signals),
    };
  }

  async #score(action: SearchAction & { type: "score" }) {
    const { population, rows, reward: name, latent } = action;
    const missing = this.#ledger.score(population, rows, name, latent);
    const { stage } = population;
    const { generator, prompt, metadata, seed, signal, log } = this.#input;
    const reward = this.#input.rewards[name]!;
    if (missing.length > 0) {
      const ids = missing.map((row) => population.ids[row]!);
      await this.#decode(population, missing, latent);
      const images = ids.map((id) => this.#image(id, stage, latent));
      const scales = generator.scales.length;
      const kind = stage === scales && latent === null ? ("final" as const) : ("preview" as const);
      const context = { signal, stage: { kind, scale: stage - 1, scales }, seed, log };
      const scored = await this.#timed("reward", stage - 1, ids.length, () =>
        scoreImages({ name, reward, prompt, metadata, context }, ids, images),
      );
      ids.forEach((id, index) => {
        const known = { raw: scored.raw[index]!, detail: scored.details[index] };
        this.#scores.set(scoreKey(id, stage, latent, name), known);
      });
    }
    const raw = rows.map((row) => this.#scores.get(scoreKey(population.ids[row]!, stage, latent, name))!.raw);
    return {
      observation: { type: "scores", scores: oriented(raw, reward) } as const,
      event: scoresEvent(action, raw),
    };
  }

  async #features(action: SearchAction & { type: "features" }) {
    const { population, latent } = action;
    const { ids, stage } = population;
    const missing = this.#ledger.decode(
      population,
      ids.map((_, row) => row),
      latent,
    );
    this.#ledger.features(population);
    await this.#decode(population, missing, latent);
    const images = ids.map((id) => this.#image(id, stage, latent));
    const source = this.#input.features!;
    const features = await this.#timed("features", stage - 1, ids.length, () =>
      extractVectors(source, ids, images),
    );
    return { observation: { type: "features", features } as const, event: featuresEvent(action, features) };
  }

  async #tokens(action: SearchAction & { type: "tokens" }) {
    const { population } = action;
    this.#ledger.tokens(population);
    const rows = (await this.bits(population)).map((stages) => stages[population.stage - 1]!);
    const width = rows[0]!.length;
    const data = new Float32Array(rows.length * width);
    for (const [row, bits] of rows.entries()) data.set(bits, row * width);
    const tokens = { dims: [rows.length, width], data };
    return { observation: { type: "tokens", tokens } as const, event: tokensEvent(action, tokens) };
  }

  async #choose(action: SearchAction & { type: "select" | "branch" }) {
    const { population, picks } = action;
    const session = this.#session(population);
    const child = this.#ledger[action.type](population, picks);
    const named = picks.map((parent, row) => ({ parent, id: child.ids[row]! }));
    if (action.type === "branch") {
      this.#sessions.set(child.key, await session.branch(named));
    } else {
      if (!isIdentity(picks, population.ids.length)) await session.select(named);
      this.#sessions.delete(population.key);
      this.#sessions.set(child.key, session);
      this.#forget();
    }
    return {
      observation: { type: "population", population: child } as const,
      event: selectionEvent(action, child),
    };
  }

  /** Decodes booked rows of which no image is at hand. */
  async #decode(population: Population, rows: readonly number[], latent: LatentSize | null): Promise<void> {
    const missing = rows.filter(
      (row) => !this.#images.has(previewKey(population.ids[row]!, population.stage, latent)),
    );
    if (missing.length === 0) return;
    const session = this.#session(population);
    const images = await this.#timed("decode", population.stage - 1, missing.length, () =>
      session.decode(missing, latent ?? undefined),
    );
    missing.forEach((row, index) => {
      this.#images.set(previewKey(population.ids[row]!, population.stage, latent), images[index]!);
    });
  }

  #image(id: CandidateId, stage: number, latent: LatentSize | null): RgbImage {
    return this.#images.get(previewKey(id, stage, latent))!;
  }

  #session(population: Population): Session {
    return this.#sessions.get(population.key)!;
  }

  #drop(population: Population): void {
    this.#sessions.get(population.key)?.release();
    this.#sessions.delete(population.key);
  }

  #forget(): void {
    for (const key of this.#images.keys()) if (!this.#ledger.holds(key)) this.#images.delete(key);
  }

  async #timed<T>(kind: CostKind, scale: number, count: number, work: () => Promise<T>): Promise<T> {
    const end = this.#input.timing?.begin(kind, scale, count);
    const result = await work();
    end?.();
    return result;
  }
}

/** Scores as strategies see them: higher is better. */
export function oriented(raw: readonly number[], reward: Pick<Reward, "direction">): Float64Array {
  return Float64Array.from(raw, (value) => (reward.direction === "lower" ? -value : value));
}

function scoreKey(id: CandidateId, stage: number, latent: LatentSize | null, reward: string): string {
  return `${previewKey(id, stage, latent)} ${reward}`;
}

function isIdentity(picks: readonly number[], width: number): boolean {
  return picks.length === width && picks.every((pick, row) => pick === row);
}
