import { TtsVarError } from "../../../core/errors.ts";
import type { GeneratorTraits, Pick, Picture, Session, StageSignals, View } from "../../../core/generator.ts";
import type { CandidateId } from "../../../core/ids.ts";
import { createRng, type Rng } from "../../../core/rng.ts";
import type { Task } from "../../../core/task.ts";
import { type Tokens, tokenHash } from "../../../core/tokens.ts";
import { checkKept } from "../../check-kept.ts";
import { checkView } from "../../check-view.ts";
import { toImage } from "../../next-scale/to-image.ts";
import { type DrawnToken, drawToken } from "./draw-token.ts";
import type { CandidateState, JanusNetwork } from "./network.ts";
import type { JanusSettings } from "./settings.ts";

/** What is not drawn yet. */
const BLANK = 128;

/** What all sessions of one `start` have in common. */
export interface SessionContext {
  readonly network: JanusNetwork;
  readonly traits: GeneratorTraits;
  readonly settings: JanusSettings;
  /** Tokens a row of the picture. */
  readonly side: number;
  /** Candidates that are computed together, by stage. */
  readonly rowsAtOnce: readonly number[];
}

interface Drawing extends SessionContext {
  readonly task: Task;
  readonly rng: Rng;
}

/** A candidate. Nothing in it is ever changed, so copies share everything; without a state it is finished. */
interface Row {
  readonly id: CandidateId;
  readonly state: CandidateState | null;
  readonly tokens: readonly (Tokens & { readonly data: Int32Array })[];
}

/** @throws TtsVarError CONFIG_INVALID for kept tokens that do not fit, or too long a prompt */
export async function startJanus(
  context: SessionContext,
  task: Task,
  ids: readonly CandidateId[],
): Promise<Session> {
  const { traits, network, settings } = context;
  checkKept(
    traits.tokens,
    traits.stages.map(({ tokens }) => tokens),
    task.keep,
  );
  const state = await network.begin(task.prompt, settings);
  const rows = ids.map((id) => ({ id, state, tokens: [] }));
  return new JanusSession({ ...context, task, rng: createRng(task.seed, task.prompt) }, rows, 0);
}

/** A population on its way down the picture, some rows of tokens a stage; see `Session`. */
class JanusSession implements Session {
  readonly #context: Drawing;
  #rows: readonly Row[] | null;
  #stage: number;

  constructor(context: Drawing, rows: readonly Row[], stage: number) {
    this.#context = context;
    this.#rows = rows;
    this.#stage = stage;
  }

  get ids(): readonly CandidateId[] {
    return this.#alive().map(({ id }) => id);
  }

  get stage(): number {
    return this.#stage;
  }

  async step(): Promise<StageSignals> {
    const { traits, task } = this.#context;
    const rows = this.#alive();
    const stage = this.#stage;
    if (stage >= traits.stages.length) throw new RangeError(`all ${stage} stages are done`);
    // As long as all tokens were given, all candidates are one.
    const alike = stage < (task.keep?.length ?? 0);
    const drawn = await this.#draw(alike ? rows.slice(0, 1) : rows, stage);
    const next = rows.map((row, index) => {
      const { tokens, state } = drawn[alike ? 0 : index]!;
      return { id: row.id, state, tokens: [...row.tokens, tokens] };
    });
    this.#rows = next;
    this.#stage = stage + 1;
    const list = (value: (signals: Signals) => number) =>
      Float64Array.from(rows, (_, index) => value(drawn[alike ? 0 : index]!.signals));
    return {
      tokenHash: next.map(({ tokens }) => tokenHash(tokens[stage]!)),
      values: {
        logProb: list(({ logProb }) => logProb),
        entropy: list(({ entropy }) => entropy),
        guidanceGap: list(({ guidanceGap }) => guidanceGap),
      },
    };
  }

  async select(picks: readonly Pick[]): Promise<void> {
    this.#rows = this.#picked(picks);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    return new JanusSession(this.#context, this.#picked(picks), this.#stage);
  }

  /**
   * `now`: the rows so far, grey below. `ahead`: the rows so far, the last of them repeated to the bottom, which is what
   * the decoder sees in both cases. One at a time, so that a picture does not depend on its neighbours.
   */
  async view(rows: readonly number[], view: View): Promise<Picture[]> {
    const { network, traits, side } = this.#context;
    checkView(traits, view);
    const { look } = view;
    const pictures: Picture[] = [];
    for (const index of rows) {
      const { tokens } = this.#row(index);
      const done = tokens.flatMap(({ data }) => Array.from(data));
      if (done.length === 0) throw new RangeError("there is nothing to look at before the first stage");
      const whole = Int32Array.from(
        { length: side * side },
        (_, at) => done[at] ?? done[done.length - side + (at % side)]!,
      );
      const image = toImage(await network.decode(whole), 0);
      const { final } = traits.stages[this.#stage - 1]!;
      const end = Math.round(final * image.height) * image.width * 3;
      if (look === "now") image.data.fill(BLANK, end);
      pictures.push({ frames: [image], coverage: look === "now" ? final : 1 });
    }
    return pictures;
  }

  async tokens(rows: readonly number[], stage: number): Promise<Tokens[]> {
    return rows.map((index) => {
      const tokens = this.#row(index).tokens[stage];
      if (tokens) return tokens;
      throw new RangeError(`stage ${stage} is not done: ${this.#stage} are`);
    });
  }

  release(): void {
    this.#rows = null;
  }

  async #draw(rows: readonly Row[], stage: number): Promise<Drawn[]> {
    const { traits, network, settings, side, rng, task, rowsAtOnce } = this.#context;
    const count = traits.stages[stage]!.tokens;
    const first = stage * settings.rowsPerStage;
    const kept = task.keep?.[stage]?.data;
    const data = rows.map(() => new Int32Array(count));
    const sums = rows.map(() => ({ logProb: 0, entropy: 0, guidanceGap: 0 }));
    let states = rows.map(({ state }) => state!);
    for (let at = 0; at < count; at++) {
      const row = first + Math.floor(at / side);
      // By the picture's row, whatever a stage is: other stages do not change the picture.
      const streams = rows.map(({ id }) => rng.stream("token", id, row));
      const tokens = states.map(([cond, uncond], index) => {
        const uniform = streams[index]!.uniform(at % side);
        const drawn = this.#drawOne(rows[index]!.id, row, () =>
          drawToken(cond.logits, uncond?.logits ?? null, settings, uniform, kept?.[at]),
        );
        data[index]![at] = drawn.token;
        for (const name of ["logProb", "entropy", "guidanceGap"] as const) sums[index]![name] += drawn[name];
        return drawn.token;
      });
      // Nobody reads what would follow the picture's last token.
      if (stage === traits.stages.length - 1 && at === count - 1) break;
      states = await network.step(states, tokens, rowsAtOnce[stage]);
    }
    const over = stage === traits.stages.length - 1;
    return rows.map((_, index) => ({
      tokens: { count, data: data[index]! },
      state: over ? null : states[index]!,
      signals: {
        logProb: sums[index]!.logProb,
        entropy: sums[index]!.entropy / count,
        guidanceGap: sums[index]!.guidanceGap / count,
      },
    }));
  }

  #drawOne(id: CandidateId, row: number, draw: () => DrawnToken): DrawnToken {
    try {
      return draw();
    } catch (cause) {
      throw new TtsVarError(
        "MODEL_RUNTIME",
        `the generator gave no usable logits for candidate ${id} in row ${row}: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  #picked(picks: readonly Pick[]): Row[] {
    return picks.map(({ parent, id }) => ({ ...this.#row(parent), id }));
  }

  #row(index: number): Row {
    const rows = this.#alive();
    const row = rows[index];
    if (!row) throw new RangeError(`row ${index} is outside 0..${rows.length - 1}`);
    return row;
  }

  #alive(): readonly Row[] {
    if (!this.#rows) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#rows;
  }
}

type Signals = Omit<DrawnToken, "token">;

interface Drawn {
  readonly tokens: Tokens & { readonly data: Int32Array };
  readonly state: CandidateState | null;
  readonly signals: Signals;
}
