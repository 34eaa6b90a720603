import { TtsVarError } from "../../core/errors.ts";
import type { GeneratorTraits, Pick, Picture, Session, StageSignals, View } from "../../core/generator.ts";
import type { CandidateId } from "../../core/ids.ts";
import type { Tokens } from "../../core/tokens.ts";
import { Place, type Server } from "./place.ts";

/** A change of a session, and the hashes of the tokens that it drew. */
interface Change {
  readonly tokenHash: readonly string[] | null;
  make(session: Session): Promise<unknown>;
}

/** How a session came to be: what begins it, and what was done to it since. */
interface Line {
  readonly root: (server: Server) => Promise<Session>;
  readonly history: Change[];
}

/** Begins a session on one of the servers. */
export async function openMovable(
  servers: readonly Server[],
  root: Line["root"],
  ids: readonly CandidateId[],
  can: GeneratorTraits["can"],
): Promise<Session> {
  const line: Line = { root, history: [] };
  const place = new Place(servers, (server) => remake(line, server));
  await place.use(async () => undefined);
  return new MovableSession(place, line, ids, 0, can);
}

/** A session that can be made again elsewhere from what was done to it. */
class MovableSession implements Session {
  /** Present where the model has them. */
  readonly refine?: NonNullable<Session["refine"]>;
  readonly rewind?: NonNullable<Session["rewind"]>;
  readonly #place: Place<Session>;
  readonly #line: Line;
  readonly #can: GeneratorTraits["can"];
  #ids: readonly CandidateId[];
  #stage: number;

  constructor(
    place: Place<Session>,
    line: Line,
    ids: readonly CandidateId[],
    stage: number,
    can: GeneratorTraits["can"],
  ) {
    this.#place = place;
    this.#line = line;
    this.#can = can;
    this.#ids = ids;
    this.#stage = stage;
    if (can.includes("refine")) {
      this.refine = async (share, next) => {
        const signals = await this.#change((session) => session.refine!(share, next));
        this.#ids = next;
        return signals;
      };
    }
    if (can.includes("rewind")) {
      this.rewind = async (to, next) => {
        await this.#change((session) => session.rewind!(to, next));
        this.#ids = next;
        this.#stage = to;
      };
    }
  }

  get ids(): readonly CandidateId[] {
    return this.#ids;
  }

  get stage(): number {
    return this.#stage;
  }

  async step(): Promise<StageSignals> {
    const signals = await this.#change((session) => session.step());
    this.#stage++;
    return signals;
  }

  async select(picks: readonly Pick[]): Promise<void> {
    await this.#change((session) => session.select(picks));
    this.#ids = picks.map(({ id }) => id);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    const there = await this.#place.use(async (session, server) => ({
      server,
      thing: await session.branch(picks),
    }));
    const history = [
      ...this.#line.history,
      { tokenHash: null, make: (session: Session) => session.select(picks) },
    ];
    const line = { root: this.#line.root, history };
    const ids = picks.map(({ id }) => id);
    const place = this.#place.derive((server) => remake(line, server), there);
    return new MovableSession(place, line, ids, this.#stage, this.#can);
  }

  view(rows: readonly number[], view: View): Promise<Picture[]> {
    return this.#place.use((session) => session.view(rows, view));
  }

  tokens(rows: readonly number[], stage: number): Promise<Tokens[]> {
    return this.#place.use((session) => session.tokens(rows, stage));
  }

  release(): void {
    void this.#place.leave((session) => session.release());
  }

  async #change<Result>(make: (session: Session) => Promise<Result>): Promise<Result> {
    const result = await this.#place.use(make);
    this.#line.history.push({ make, tokenHash: hashesOf(result) });
    return result;
  }
}

/** Makes a session again, and sees whether it draws what it drew. */
async function remake({ root, history }: Line, server: Server): Promise<Session> {
  const session = await root(server);
  try {
    for (const { make, tokenHash } of history) {
      const drawn = hashesOf(await make(session));
      if (tokenHash === null || tokenHash.join() === drawn?.join()) continue;
      throw new TtsVarError(
        "MODEL_INVALID",
        `${server.name} draws other tokens than the server that failed; it must compute alike (device, precision)`,
      );
    }
    return session;
  } catch (error) {
    session.release();
    throw error;
  }
}

function hashesOf(seen: unknown): readonly string[] | null {
  return (seen as Partial<StageSignals> | undefined)?.tokenHash ?? null;
}
