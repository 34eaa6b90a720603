import { TtsVarError } from "../core/errors.ts";
import type {
  Generator,
  GeneratorTraits,
  Pick,
  Picture,
  Session,
  StageSignals,
  View,
} from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import { createRng, type Rng, type RngStream } from "../core/rng.ts";
import type { Task } from "../core/task.ts";
import { type Tokens, tokenHash } from "../core/tokens.ts";
import { checkKept } from "./check-kept.ts";
import { checkView } from "./check-view.ts";

/** What one candidate drew in one stage. */
export interface DrawnRow<Row> {
  readonly row: Row;
  readonly tokens: Tokens;
  /** `logProb`, `entropy`, ...: see `StageSignals`. */
  readonly values?: Readonly<Record<string, number>>;
}

/** A candidate whose turn it is to draw. */
export interface Turn<Row> {
  readonly row: Row;
  /** Its randomness for this stage. */
  readonly stream: RngStream;
  /** Tokens to take instead. */
  readonly kept: Tokens | undefined;
}

/**
 * A model that draws candidates together. A `Row` is all that one candidate has come to; it is never changed, so copies
 * share it. What a row gets must not depend on the others in its batch.
 */
export interface BatchModel<Row> {
  /** Before the first stage. */
  begin(task: Task): Row | Promise<Row>;
  /** Draws a stage; one result for each turn, in order. */
  draw(turns: readonly Turn<Row>[], stage: number): Promise<readonly DrawnRow<Row>[]>;
  /** Draws a share of the latest stage's least certain tokens again. Capability `refine`. */
  refine?(turns: readonly Turn<Row>[], stage: number, share: number): Promise<readonly DrawnRow<Row>[]>;
  /** What they look like after so many stages. Draws nothing. */
  look(rows: readonly Row[], stages: number, view: View): Promise<readonly Picture[]>;
}

/** A generator of a model that draws candidates together; keyed draws, copies, branches and the way back are here. */
export function batchGenerator<Row>(traits: GeneratorTraits, model: BatchModel<Row>): Generator {
  return {
    traits,
    async start(task, ids) {
      checkKept(
        traits.tokens,
        traits.stages.map((stage) => stage.tokens),
        task.keep,
      );
      const context = { traits, model, task, rng: createRng(task.seed, task.prompt) };
      const row = await model.begin(task);
      return new BatchSession(
        context,
        ids.map((id) => ({ id, rows: [row], tokens: [] })),
        0,
      );
    },
    async [Symbol.asyncDispose]() {},
  };
}

interface Context<Row> {
  readonly traits: GeneratorTraits;
  readonly model: BatchModel<Row>;
  readonly task: Task;
  readonly rng: Rng;
}

/** A candidate with all that it was: `rows[stages done]`, `tokens[stage]`. */
interface Candidate<Row> {
  readonly id: CandidateId;
  readonly rows: readonly Row[];
  readonly tokens: readonly Tokens[];
}

/** Kept tokens lead from one state to one state: as long as all candidates are one, they are drawn as one. */
async function drawAlike<Row>(
  turns: readonly Turn<Row>[],
  draw: (turns: readonly Turn<Row>[]) => Promise<readonly DrawnRow<Row>[]>,
): Promise<readonly DrawnRow<Row>[]> {
  const first = turns[0];
  if (first?.kept === undefined || turns.some(({ row }) => row !== first.row)) return draw(turns);
  const [drawn] = await draw([first]);
  return turns.map(() => drawn!);
}

class BatchSession<Row> implements Session {
  /** Present where the model has them. */
  readonly refine?: NonNullable<Session["refine"]>;
  readonly rewind?: NonNullable<Session["rewind"]>;
  readonly #context: Context<Row>;
  #candidates: readonly Candidate<Row>[] | null;
  #stage: number;

  constructor(context: Context<Row>, candidates: readonly Candidate<Row>[], stage: number) {
    this.#context = context;
    this.#candidates = candidates;
    this.#stage = stage;
    if (context.model.refine) this.refine = (share, ids) => this.#refine(share, ids);
    if (context.traits.can.includes("rewind")) this.rewind = (to, ids) => this.#rewind(to, ids);
  }

  get ids(): readonly CandidateId[] {
    return this.#alive().map(({ id }) => id);
  }

  get stage(): number {
    return this.#stage;
  }

  async step(): Promise<StageSignals> {
    const { traits, model, task, rng } = this.#context;
    const candidates = this.#alive();
    const stage = this.#stage;
    if (stage >= traits.stages.length) throw new RangeError(`all ${stage} stages are done`);
    const turns: Turn<Row>[] = candidates.map(({ id, rows }) => ({
      row: rows[stage]!,
      stream: rng.stream("token", id, stage),
      kept: task.keep?.[stage],
    }));
    const drawn = await drawAlike(turns, (distinct) => model.draw(distinct, stage));
    this.#stage = stage + 1;
    return this.#take(
      drawn,
      candidates.map(({ id }) => id),
      stage,
    );
  }

  async select(picks: readonly Pick[]): Promise<void> {
    this.#candidates = this.#picked(picks);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    return new BatchSession(this.#context, this.#picked(picks), this.#stage);
  }

  async view(rows: readonly number[], view: View): Promise<Picture[]> {
    const { traits, model } = this.#context;
    checkView(traits, view);
    const stages = this.#stage;
    const seen = rows.map((index) => this.#row(index).rows[stages]!);
    if (stages === 0) throw new RangeError("there is nothing to look at before the first stage");
    return [...(await model.look(seen, stages, view))];
  }

  async tokens(rows: readonly number[], stage: number): Promise<Tokens[]> {
    return rows.map((index) => {
      const tokens = this.#row(index).tokens[stage];
      if (tokens) return tokens;
      throw new RangeError(`stage ${stage} is not done: ${this.#stage} are`);
    });
  }

  release(): void {
    this.#candidates = null;
  }

  async #refine(share: number, ids: readonly CandidateId[]): Promise<StageSignals> {
    const { model, rng } = this.#context;
    const stage = this.#stage - 1;
    if (stage < 0) throw new RangeError("there is nothing to refine before the first stage");
    const turns: Turn<Row>[] = this.#alive().map(({ rows }, index) => ({
      row: rows[stage + 1]!,
      stream: rng.stream("token", ids[index]!, stage),
      kept: undefined,
    }));
    const drawn = await model.refine!(turns, stage, share);
    return this.#take(drawn, ids, stage);
  }

  async #rewind(stage: number, ids: readonly CandidateId[]): Promise<void> {
    if (stage >= this.#stage) throw new RangeError(`cannot go back to stage ${stage} from ${this.#stage}`);
    this.#candidates = this.#alive().map(({ rows, tokens }, index) => ({
      id: ids[index]!,
      rows: rows.slice(0, stage + 1),
      tokens: tokens.slice(0, stage),
    }));
    this.#stage = stage;
  }

  /** Puts what was drawn in a stage in place of what was there. */
  #take(drawn: readonly DrawnRow<Row>[], ids: readonly CandidateId[], stage: number): StageSignals {
    this.#candidates = this.#alive().map(({ rows, tokens }, index) => ({
      id: ids[index]!,
      rows: [...rows.slice(0, stage + 1), drawn[index]!.row],
      tokens: [...tokens.slice(0, stage), drawn[index]!.tokens],
    }));
    const names = Object.keys(drawn[0]?.values ?? {});
    const list = (name: string) => Float64Array.from(drawn, ({ values }) => values?.[name] ?? Number.NaN);
    return {
      tokenHash: drawn.map(({ tokens }) => tokenHash(tokens)),
      values: Object.fromEntries(names.map((name) => [name, list(name)])),
    };
  }

  #picked(picks: readonly Pick[]): Candidate<Row>[] {
    return picks.map(({ parent, id }) => ({ ...this.#row(parent), id }));
  }

  #row(index: number): Candidate<Row> {
    const candidates = this.#alive();
    const row = candidates[index];
    if (!row) throw new RangeError(`row ${index} is outside 0..${candidates.length - 1}`);
    return row;
  }

  #alive(): readonly Candidate<Row>[] {
    if (!this.#candidates) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#candidates;
  }
}
