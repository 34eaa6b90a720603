import { TtsVarError } from "../../core/errors.ts";
import type {
  Capability,
  Generator,
  GeneratorTraits,
  Pick,
  Picture,
  Session,
  StageSignals,
  View,
} from "../../core/generator.ts";
import type { CandidateId } from "../../core/ids.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Task } from "../../core/task.ts";
import type { Tokens } from "../../core/tokens.ts";
import type { Remote } from "../../inference/runtime/worker/inference-worker.ts";
import { moved, type Service } from "../../inference/runtime/worker/protocol.ts";
import { checkKept } from "../check-kept.ts";
import { UnderSettings } from "./under-settings.ts";

/** A generator's functions across a border of threads or machines; sessions are known by number. */
export type SessionMethods = {
  start(task: Task, ids: readonly CandidateId[], settings: unknown): Promise<number>;
  step(session: number): Promise<StageSignals>;
  select(session: number, picks: readonly Pick[]): Promise<void>;
  branch(session: number, picks: readonly Pick[]): Promise<number>;
  view(session: number, rows: readonly number[], view: View): Promise<Picture[]>;
  tokens(session: number, rows: readonly number[], stage: number): Promise<Tokens[]>;
  refine(session: number, share: number, ids: readonly CandidateId[]): Promise<StageSignals>;
  rewind(session: number, stage: number, ids: readonly CandidateId[]): Promise<void>;
  release(session: number): Promise<void>;
  encode(image: RgbImage): Promise<Tokens[]>;
};

/** The worker's side: answers calls with a generator that it owns. */
export function serveGenerator(generator: Generator): Service<SessionMethods> {
  const sessions = new Map<number, Session>();
  const under = new UnderSettings(generator);
  let started = 0;
  const add = (session: Session): number => {
    sessions.set(++started, session);
    return started;
  };
  const find = (key: number): Session => {
    const session = sessions.get(key);
    if (!session) throw new Error(`session ${key} does not exist`);
    return session;
  };
  return {
    methods: {
      start: async (task, ids, settings) => add(await (await under.for(settings)).start(task, ids)),
      step: (key) => find(key).step(),
      select: (key, picks) => find(key).select(picks),
      branch: async (key, picks) => add(await find(key).branch(picks)),
      async view(key, rows, view) {
        const pictures = await find(key).view(rows, view);
        return moved(
          pictures,
          pictures.flatMap(({ frames }) => frames.map(({ data }) => data)),
        );
      },
      tokens: (key, rows, stage) => find(key).tokens(rows, stage),
      refine: (key, share, ids) => capable(find(key).refine, "refine").call(find(key), share, ids),
      rewind: (key, stage, ids) => capable(find(key).rewind, "rewind").call(find(key), stage, ids),
      async release(key) {
        find(key).release();
        sessions.delete(key);
      },
      encode: (image) => capable(generator.encode, "encode").call(generator, image),
    },
    close: async () => generator[Symbol.asyncDispose](),
  };
}

function capable<Method>(method: Method | undefined, name: Capability): Method {
  if (method === undefined) throw new Error(`this generator cannot ${name}`);
  return method;
}

/** How a generator behind a border is configured. */
export interface RemoteSettings {
  readonly settings: unknown;
  /** Traits under other settings. */
  describe(settings: unknown): Promise<GeneratorTraits>;
}

/** The caller's side: a generator whose work is done behind `remote`. */
export function remoteGenerator(
  traits: GeneratorTraits,
  remote: Remote<SessionMethods>,
  { settings, describe }: RemoteSettings,
): Generator {
  const { can } = traits;
  return {
    traits,
    async start(task, ids) {
      checkKept(
        traits.tokens,
        traits.stages.map((stage) => stage.tokens),
        task.keep,
      );
      return new RemoteSession(remote, can, await remote.call("start", task, ids, settings), ids, 0);
    },
    ...(can.includes("encode") ? { encode: (image: RgbImage) => remote.call("encode", image) } : {}),
    async withSettings(others) {
      const derived = remoteGenerator(await describe(others), remote, { settings: others, describe });
      return { ...derived, async [Symbol.asyncDispose]() {} };
    },
    [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose](),
  };
}

class RemoteSession implements Session {
  /** Present where the model has them. */
  readonly refine?: NonNullable<Session["refine"]>;
  readonly rewind?: NonNullable<Session["rewind"]>;
  readonly #remote: Remote<SessionMethods>;
  readonly #key: number;
  readonly #can: readonly Capability[];
  #ids: readonly CandidateId[];
  #stage: number;
  #released = false;

  constructor(
    remote: Remote<SessionMethods>,
    can: readonly Capability[],
    key: number,
    ids: readonly CandidateId[],
    stage: number,
  ) {
    this.#remote = remote;
    this.#can = can;
    this.#key = key;
    this.#ids = ids;
    this.#stage = stage;
    if (can.includes("refine")) {
      this.refine = async (share, next) => {
        const signals = await this.#call("refine", key, share, next);
        this.#ids = next;
        return signals;
      };
    }
    if (can.includes("rewind")) {
      this.rewind = async (to, next) => {
        await this.#call("rewind", key, to, next);
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
    const signals = await this.#call("step", this.#key);
    this.#stage++;
    return signals;
  }

  async select(picks: readonly Pick[]): Promise<void> {
    await this.#call("select", this.#key, picks);
    this.#ids = picks.map((pick) => pick.id);
  }

  async branch(picks: readonly Pick[]): Promise<Session> {
    const key = await this.#call("branch", this.#key, picks);
    const ids = picks.map((pick) => pick.id);
    return new RemoteSession(this.#remote, this.#can, key, ids, this.#stage);
  }

  async view(rows: readonly number[], view: View): Promise<Picture[]> {
    return rows.length === 0 ? [] : this.#call("view", this.#key, rows, view);
  }

  async tokens(rows: readonly number[], stage: number): Promise<Tokens[]> {
    return rows.length === 0 ? [] : this.#call("tokens", this.#key, rows, stage);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    // A worker that is gone has released everything.
    this.#remote.call("release", this.#key).catch(() => undefined);
  }

  #call<K extends keyof SessionMethods>(
    method: K,
    ...args: Parameters<SessionMethods[K]>
  ): ReturnType<SessionMethods[K]> {
    if (this.#released) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#remote.call(method, ...args);
  }
}
