import { TtsVarError } from "../../core/errors.ts";
import type {
  Generator,
  LatentSize,
  Pick,
  SampleRequest,
  Session,
  StageSignals,
} from "../../core/generator.ts";
import type { CandidateId } from "../../core/ids.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Remote } from "../../inference/runtime/worker/inference-worker.ts";
import { moved, type Service } from "../../inference/runtime/worker/protocol.ts";
import type { GeneratorTraits } from "../definition.ts";

/** A generator's functions across a thread border; sessions are known by number. */
export type GeneratorMethods = {
  start(request: SampleRequest): Promise<number>;
  step(session: number): Promise<StageSignals>;
  select(session: number, picks: readonly Pick[]): Promise<void>;
  branch(session: number, picks: readonly Pick[]): Promise<number>;
  decode(session: number, rows: readonly number[], latent?: LatentSize): Promise<RgbImage[]>;
  bits(session: number, row: number): Promise<Uint8Array[]>;
  release(session: number): Promise<void>;
  encode(image: RgbImage): Promise<Uint8Array[]>;
};

/** The worker's side: answers calls with a generator that it owns. */
export function serveGenerator(generator: Generator): Service<GeneratorMethods> {
  const sessions = new Map<number, Session>();
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
      start: async (request) => add(await generator.start(request)),
      step: (key) => find(key).step(),
      select: (key, picks) => find(key).select(picks),
      branch: async (key, picks) => add(await find(key).branch(picks)),
      async decode(key, rows, latent) {
        const images = await find(key).decode(rows, latent);
        return moved(
          images,
          images.map((image) => image.data),
        );
      },
      bits: (key, row) => find(key).bits(row),
      async release(key) {
        find(key).release();
        sessions.delete(key);
      },
      async encode(image) {
        if (!generator.encode) throw new Error(`${generator.name} has no encoder`);
        return generator.encode(image);
      },
    },
    close: async () => generator[Symbol.asyncDispose](),
  };
}

/**
 * The caller's side: a generator whose work is done behind `remote`.
 *
 * @param encodes whether the generator there can encode images
 */
export function remoteGenerator(
  description: GeneratorTraits,
  remote: Remote<GeneratorMethods>,
  { encodes }: { readonly encodes: boolean },
): Generator {
  return {
    ...description,
    async start(request) {
      return new RemoteSession(remote, await remote.call("start", request), request.ids, 0);
    },
    ...(encodes ? { encode: (image: RgbImage) => remote.call("encode", image) } : {}),
    [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose](),
  };
}

class RemoteSession implements Session {
  readonly #remote: Remote<GeneratorMethods>;
  readonly #key: number;
  #ids: readonly CandidateId[];
  #stage: number;
  #released = false;

  constructor(remote: Remote<GeneratorMethods>, key: number, ids: readonly CandidateId[], stage: number) {
    this.#remote = remote;
    this.#key = key;
    this.#ids = ids;
    this.#stage = stage;
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
    return new RemoteSession(this.#remote, key, ids, this.#stage);
  }

  async decode(rows: readonly number[], latent?: LatentSize): Promise<RgbImage[]> {
    return latent === undefined
      ? this.#call("decode", this.#key, rows)
      : this.#call("decode", this.#key, rows, latent);
  }

  async bits(row: number): Promise<Uint8Array[]> {
    return this.#call("bits", this.#key, row);
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    // A worker that is gone has released everything.
    this.#remote.call("release", this.#key).catch(() => undefined);
  }

  #call<K extends keyof GeneratorMethods>(
    method: K,
    ...args: Parameters<GeneratorMethods[K]>
  ): ReturnType<GeneratorMethods[K]> {
    if (this.#released) throw new TtsVarError("INTERNAL", "this session was released");
    return this.#remote.call(method, ...args);
  }
}
