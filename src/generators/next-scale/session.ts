import { TtsVarError } from "../../core/errors.ts";
import {
  type GeneratorTraits,
  type Pick,
  type Picture,
  type Session,
  type StageSignals,
  sidesOf,
  type View,
} from "../../core/generator.ts";
import type { CandidateId } from "../../core/ids.ts";
import { createRng, type Rng } from "../../core/rng.ts";
import type { Task } from "../../core/task.ts";
import { rowOf, type Tensor } from "../../core/tensor.ts";
import { type Tokens, tokenHash } from "../../core/tokens.ts";
import { checkKept } from "../check-kept.ts";
import { checkView } from "../check-view.ts";
import { type Draft, leastCertain, redraw, settle } from "./masked-passes.ts";
import type { Network } from "./network.ts";
import type { Reference } from "./reference.ts";
import type { Grid } from "./resize.ts";
import type { SamplingSettings } from "./settings.ts";
import { toImage } from "./to-image.ts";
import type { DrawnTokens, TokenCode } from "./token-code.ts";
import { viewsAtOnce } from "./views-at-once.ts";

/** A candidate. Nothing in it is ever changed, so copies share everything. */
interface Row {
  readonly id: CandidateId;
  readonly code: Float32Array | null;
  /** The latest stage as it can be drawn again; absent for models that cannot. */
  readonly draft?: Draft;
  readonly tokens: readonly Tokens[];
}

interface Progress<State> {
  readonly stage: number;
  readonly rows: readonly Row[];
  readonly state: State;
}

/** What all sessions of one `start` have in common. */
export interface SessionContext<State> {
  readonly network: Network<State>;
  readonly code: TokenCode;
  readonly traits: GeneratorTraits;
  readonly settings: SamplingSettings;
  /** Tokens that are settled in each pass, by stage, for models with masked passes. */
  readonly passes?: readonly (readonly number[])[];
}

interface Drawing<State> extends SessionContext<State> {
  readonly task: Task;
  readonly rng: Rng;
  readonly reference: Reference | null;
}

/**
 * Begins a population over any next-scale model.
 *
 * @param reference picture whose tokens are kept where its mask says so; they are drawn all the same, so that the draws of
 *   a candidate do not depend on the mask
 * @throws TtsVarError CONFIG_INVALID for kept tokens that do not fit the scales
 */
export async function startSession<State>(
  context: SessionContext<State>,
  task: Task,
  ids: readonly CandidateId[],
  reference: Reference | null = null,
): Promise<Session> {
  const { code } = context;
  const counts = Array.from({ length: code.stages }, (_, scale) => code.tokens(scale));
  checkKept(code.kind, counts, task.keep);
  const rows = ids.map((id) => ({ id, code: null, tokens: [] }));
  const rng = createRng(task.seed, task.prompt);
  const state = await context.network.begin(task);
  return new ScaleSession({ ...context, task, rng, reference }, { stage: 0, rows, state });
}

/** Tokens of a candidate that a stage ends with. */
interface Taken {
  readonly data: DrawnTokens["data"];
  readonly vectors?: DrawnTokens["vectors"];
}

/** A population of next-scale candidates; see `Session`. */
class ScaleSession<State> implements Session {
  /** Present where the model has it. */
  readonly refine?: NonNullable<Session["refine"]>;
  readonly #context: Drawing<State>;
  #progress: Progress<State> | null;

  constructor(context: Drawing<State>, progress: Progress<State>) {
    this.#context = context;
    this.#progress = progress;
    if (context.network.revise) this.refine = (share, ids) => this.#refine(share, ids);
  }

  get ids(): readonly CandidateId[] {
    return this.#alive().rows.map((row) => row.id);
  }

  get stage(): number {
    return this.#alive().stage;
  }

  async step(): Promise<StageSignals> {
    const { stage, rows, state } = this.#alive();
    const { network, code, task, settings, passes } = this.#context;
    if (stage >= code.stages) throw new RangeError(`all ${code.stages} stages are done`);
    const guided = stage < settings.guidanceUntil;
    // As long as no candidate has drawn anything, all are one: the first stage, and those that follow kept tokens.
    const alike = stage <= (task.keep?.length ?? 0);
    const different = alike ? rows.slice(0, 1) : rows;
    const z = this.#input(stage, different);
    const before = alike ? network.select(state, [0]) : state;
    const output = await network.run(before, { stage, width: different.length, z, guided });
    const after = alike ? network.select(output.state, new Array(rows.length).fill(0)) : output.state;
    const drawn = rows.map((row, index) => this.#draw(output.delta, stage, row, index));
    const values = (name: "logProb" | "entropy" | "guidanceGap") =>
      Float64Array.from(drawn, (candidate) => candidate[name]);
    const signals = {
      logProb: values("logProb"),
      entropy: values("entropy"),
      guidanceGap: values("guidanceGap"),
    };
    if (!network.revise) {
      return this.#take(stage, rows, after, drawn, signals);
    }
    const drafts = rows.map(({ id, code: before }, index) => {
      const { data, byToken } = drawn[index]!;
      return { id, before, bits: data as Uint8Array, confidence: byToken! };
    });
    const own = passes?.[stage] ?? [];
    const settled =
      task.keep?.[stage] || own.length < 2 ? drafts : await settle(this.#context, after, stage, own, drafts);
    return this.#takeDrafts(stage, rows, after, settled, signals);
  }

  async select(picks: readonly Pick[]): Promise<void> {
    this.#progress = this.#picked(picks);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    return new ScaleSession(this.#context, this.#picked(picks));
  }

  async view(rows: readonly number[], view: View): Promise<Picture[]> {
    const { code, network } = this.#context;
    const size = this.#gridOf(view);
    const block = viewsAtOnce(size);
    const pictures: Picture[] = [];
    for (let start = 0; start < rows.length; start += block) {
      const part = rows.slice(start, start + block);
      const stride = code.channels * size.h * size.w;
      const data = new Float32Array(part.length * stride);
      const { shown, last } = view.look === "ahead" ? await this.#ahead(part) : this.#now(part);
      shown.forEach(({ code: cumulative }, at) => {
        if (!cumulative) throw new RangeError("there is nothing to look at before the first stage");
        data.set(code.view(cumulative, last, size), at * stride);
      });
      const latents = { dims: [part.length, code.channels, size.h, size.w], data };
      const decoded = await network.decode(latents, view.quality ?? "full");
      for (let at = 0; at < part.length; at++) pictures.push({ frames: [toImage(decoded, at)], coverage: 1 });
    }
    return pictures;
  }

  async tokens(rows: readonly number[], stage: number): Promise<Tokens[]> {
    return rows.map((index) => {
      const tokens = this.#row(index).tokens[stage];
      if (tokens) return tokens;
      throw new RangeError(`stage ${stage} is not done: ${this.stage} are`);
    });
  }

  async rewind(stage: number, ids: readonly CandidateId[]): Promise<void> {
    const { stage: now, rows, state } = this.#alive();
    const { code, network } = this.#context;
    if (!network.rewind) throw new TtsVarError("CONFIG_INVALID", "this model cannot rewind");
    if (stage >= now) throw new RangeError(`cannot go back to stage ${stage} from ${now}`);
    const back = rows.map(({ tokens }, index) => {
      const kept = tokens.slice(0, stage);
      const sum = kept.reduce<Row["code"]>((before, { data }, scale) => code.add(before, data, scale), null);
      return { id: ids[index]!, code: sum, tokens: kept };
    });
    this.#progress = { stage, rows: back, state: network.rewind(state, stage) };
  }

  release(): void {
    this.#progress = null;
  }

  /** A share of the latest stage's tokens, the least certain ones, in one masked pass. */
  async #refine(share: number, ids: readonly CandidateId[]): Promise<StageSignals> {
    const { stage, rows, state } = this.#alive();
    if (stage === 0) throw new RangeError("there is nothing to refine before the first stage");
    const drafts = rows.map(({ draft }, index) => {
      if (!draft) throw new RangeError("the latest stage was not drawn here: draw one before refining");
      return { ...draft, id: ids[index]! };
    });
    const count = Math.ceil(share * this.#context.code.tokens(stage - 1));
    const masks = drafts.map((draft) => leastCertain(draft, [...draft.confidence.keys()], count));
    const settled = await redraw(this.#context, state, stage - 1, 0, drafts, masks);
    const before = rows.map((row, index) => ({
      id: ids[index]!,
      code: drafts[index]!.before,
      tokens: row.tokens.slice(0, stage - 1),
    }));
    return this.#takeDrafts(stage - 1, before, state, settled, {});
  }

  #takeDrafts(
    stage: number,
    rows: readonly Row[],
    state: State,
    drafts: readonly Draft[],
    signals: StageSignals["values"],
  ): StageSignals {
    const logProb = Float64Array.from(drafts, ({ confidence }) =>
      confidence.reduce((sum, each) => sum + each, 0),
    );
    const drawn = drafts.map(({ bits }) => ({ data: bits }));
    return this.#take(stage, rows, state, drawn, { ...signals, logProb }, drafts);
  }

  /** Puts what was drawn in a stage onto rows that are before it. */
  #take(
    stage: number,
    rows: readonly Row[],
    state: State,
    drawn: readonly Taken[],
    values: StageSignals["values"],
    drafts: readonly Draft[] = [],
  ): StageSignals {
    const { code, reference } = this.#context;
    const next = rows.map(({ id, code: before, tokens }, index): Row => {
      const { data, vectors } = drawn[index]!;
      const kept = reference ? reference.apply(code, stage, before, data, vectors) : { data, vectors };
      const own = { count: code.tokens(stage), data: kept.data };
      const draft = drafts[index];
      return {
        id,
        code: code.add(before, own.data, stage, kept.vectors),
        tokens: [...tokens, own],
        ...(draft ? { draft } : {}),
      };
    });
    this.#progress = { stage: stage + 1, rows: next, state };
    return { tokenHash: next.map(({ tokens }) => tokenHash(tokens[stage]!)), values };
  }

  #alive(): Progress<State> {
    if (!this.#progress) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#progress;
  }

  #row(index: number): Row {
    const { rows } = this.#alive();
    const row = rows[index];
    if (!row) throw new RangeError(`row ${index} is outside 0..${rows.length - 1}`);
    return row;
  }

  #now(rows: readonly number[]): { shown: readonly Row[]; last: number } {
    return { shown: rows.map((index) => this.#row(index)), last: this.stage - 1 };
  }

  /** Candidates with the likeliest tokens in the next stages, for a look; they themselves stay where they are. */
  async #ahead(rows: readonly number[]): Promise<{ shown: readonly Row[]; last: number }> {
    const { network, code, reference, settings } = this.#context;
    let { shown, last } = this.#now(rows);
    let state = network.select(this.#alive().state, rows);
    const until = Math.min(code.stages, this.stage + (settings.lookAhead ?? 0));
    for (let stage = this.stage; stage < until; stage++) {
      const z = this.#input(stage, shown);
      const guided = stage < settings.guidanceUntil;
      const output = await network.run(state, { stage, width: shown.length, z, guided });
      shown = shown.map((row, index) => {
        const { data, vectors } = this.#draw(output.delta, stage, row, index, 1);
        const kept = reference ? reference.apply(code, stage, row.code, data, vectors) : { data, vectors };
        return { ...row, code: code.add(row.code, kept.data, stage, kept.vectors) };
      });
      state = output.state;
      last = stage;
    }
    return { shown, last };
  }

  /** Latent cells that a view is decoded from. */
  #gridOf(view: View): Grid {
    const { traits } = this.#context;
    checkView(traits, view);
    const { shape } = traits;
    const { width, height } = sidesOf(shape, view.size);
    return { h: height / shape.grain, w: width / shape.grain };
  }

  #picked(picks: readonly Pick[]): Progress<State> {
    const { stage, rows, state } = this.#alive();
    const next = picks.map(({ parent, id }) => ({ ...this.#row(parent), id }));
    const same = picks.length === rows.length && picks.every(({ parent }, index) => parent === index);
    const parents = picks.map(({ parent }) => parent);
    return { stage, rows: next, state: same ? state : this.#context.network.select(state, parents) };
  }

  #input(stage: number, rows: readonly Row[]): Tensor | null {
    if (stage === 0) return null;
    const { code } = this.#context;
    const stride = code.tokens(stage) * code.tokenChannels;
    const data = new Float32Array(rows.length * stride);
    rows.forEach((row, index) => {
      code.input(row.code!, stage, data.subarray(index * stride, (index + 1) * stride));
    });
    return { dims: [rows.length, code.tokens(stage), code.tokenChannels], data };
  }

  #draw(
    delta: Tensor,
    stage: number,
    row: Row,
    index: number,
    topK = this.#context.settings.topK,
  ): DrawnTokens {
    const { code, task, settings, rng } = this.#context;
    const [groups, shared] = delta.dims as [number, number];
    const at = shared === 1 ? 0 : index;
    const flat: Tensor = { dims: [groups * shared, delta.data.length / (groups * shared)], data: delta.data };
    const { topP } = settings;
    const width = this.#context.network.revise ? this.#context.code.tokenChannels : undefined;
    const how = {
      ...(width === undefined ? {} : { width }),
      guidance: settings.guidance[stage]!,
      temperature: settings.temperature[stage]!,
      topP,
      topK,
    };
    const stream = rng.stream("token", row.id, stage);
    try {
      const uncond = groups === 2 ? rowOf(flat, shared + at) : null;
      return code.draw(rowOf(flat, at), uncond, how, stream, stage, task.keep?.[stage]?.data);
    } catch (cause) {
      throw new TtsVarError(
        "MODEL_RUNTIME",
        `the generator gave no usable logits for candidate ${row.id} at scale ${stage}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }
}
