import { randomBytes } from "node:crypto";
import { TtsVarError } from "../../core/errors.ts";
import {
  type GeneratorTraits,
  type Picture,
  type StageSignals,
  sidesOf,
  type View,
} from "../../core/generator.ts";
import type { Task } from "../../core/task.ts";
import { type Tokens, tokensProblem } from "../../core/tokens.ts";
import type { Remote } from "../../inference/runtime/worker/inference-worker.ts";
import { type Endpoint, HttpCalls } from "./http-calls.ts";
import { type Answers, answerSchemas, type Info, type Requests, type WireTokens } from "./protocol.ts";
import type { SessionMethods } from "./session-calls.ts";
import { picturesOf, tokensOf, wireImage, wireTask } from "./wire.ts";

/** Closing waits no longer than this for sessions to be released; what is left expires on the server. */
const RELEASE_MS = 2000;

/** What a picture may take in the line before the pixels. */
const HEAD_BYTES = 200;

/** Pictures are asked for in portions of about so many bytes. */
const VIEW_BYTES = 64 * 2 ** 20;

/** Milliseconds between signs of life, whatever a server says of its patience: timers take no less and no more. */
const LEAST_TOUCH_MS = 100;
const MOST_TOUCH_MS = 2 ** 31 - 1;

/** A session as both sides know it. */
interface RemoteState {
  readonly handle: string;
  /** Changes so far; names the state that a call is meant for, and makes repeating it harmless. */
  revision: number;
  /** Number of candidates. */
  width: number;
}

/** A generator's calls carried out by a server: the same methods as in the inference worker, over HTTP. */
export class HttpRemote implements Remote<SessionMethods> {
  readonly #calls: HttpCalls;
  readonly #traits: GeneratorTraits;
  readonly #sessions = new Map<number, RemoteState>();
  readonly #keepAlive: NodeJS.Timeout;
  #started = 0;
  #closing: Promise<void> | undefined;

  constructor(endpoint: Endpoint, info: Info, traits: GeneratorTraits) {
    this.#calls = new HttpCalls(endpoint, info.limits.requestBytes);
    this.#traits = traits;
    // A search may look elsewhere for long, at a slow reward or at other sessions; its own must not expire meanwhile.
    const third = (info.limits.idleSeconds * 1000) / 3;
    const every = Math.min(MOST_TOUCH_MS, Math.max(LEAST_TOUCH_MS, third));
    this.#keepAlive = setInterval(() => this.#touch(), every).unref();
  }

  readonly #methods: SessionMethods = {
    start: async (task, ids, settings) => {
      const handle = newHandle();
      const { version, shape, tokens } = this.#traits;
      this.#checkKept(task);
      const { revision } = await this.#post("start", {
        session: handle,
        model: version,
        shape: shape.id,
        settings: { ...(settings as object | undefined) },
        task: wireTask(tokens, task),
        ids: [...ids],
      });
      return this.#add({ handle, revision, width: ids.length });
    },
    step: async (key) => this.#signalsOf(key, "step", await this.#change(key, "step", {})),
    select: async (key, picks) => {
      await this.#change(key, "select", { picks: [...picks] });
      this.#find(key).width = picks.length;
    },
    branch: async (key, picks) => {
      const handle = newHandle();
      const { revision } = await this.#post("branch", {
        ...this.#at(key),
        branch: handle,
        picks: [...picks],
      });
      return this.#add({ handle, revision, width: picks.length });
    },
    view: async (key, rows, view) => {
      const { width, height } = sidesOf(this.#traits.shape, view.size);
      const each = this.#traits.shape.frames * width * height * 3;
      const portion = Math.max(1, Math.floor(VIEW_BYTES / each));
      const pictures: Picture[] = [];
      for (let start = 0; start < rows.length; start += portion) {
        const part = rows.slice(start, start + portion);
        pictures.push(...(await this.#view(key, part, view, part.length * each)));
      }
      return pictures;
    },
    tokens: async (key, rows, stage) => {
      const { tokens } = await this.#post("tokens", { ...this.#at(key), rows: [...rows], stage });
      this.#expectEntries("tokens", tokens.length, rows.length);
      return this.#tokensOf("tokens", tokens);
    },
    refine: async (key, share, ids) =>
      this.#signalsOf(key, "refine", await this.#change(key, "refine", { share, ids: [...ids] })),
    rewind: async (key, stage, ids) => {
      await this.#change(key, "rewind", { stage, ids: [...ids] });
    },
    encode: async (image) => {
      const { shape, stages } = this.#traits;
      const { tokens } = await this.#post("encode", { shape: shape.id, image: wireImage(image) });
      this.#expectEntries("encode", tokens.length, stages.length);
      return this.#tokensOf("encode", tokens);
    },
    release: async (key) => {
      const { handle } = this.#find(key);
      this.#sessions.delete(key);
      await this.#post("release", { session: handle });
    },
  };

  call<K extends keyof SessionMethods & string>(
    method: K,
    ...args: Parameters<SessionMethods[K]>
  ): ReturnType<SessionMethods[K]> {
    const run = this.#methods[method] as (...given: unknown[]) => ReturnType<SessionMethods[K]>;
    return run(...args);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#keepAlive);
    const open = [...this.#sessions.keys()];
    const released = Promise.allSettled(open.map((key) => this.#methods.release(key)));
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise((resolve) => {
      timer = setTimeout(resolve, RELEASE_MS);
    });
    await Promise.race([released, limit]);
    clearTimeout(timer);
    this.#calls.close();
  }

  async #change<Name extends "step" | "select" | "refine" | "rewind">(
    key: number,
    name: Name,
    fields: Omit<Requests[Name], "session" | "revision">,
  ): Promise<Answers[Name]> {
    const answer = await this.#post(name, { ...this.#at(key), ...fields } as Requests[Name]);
    this.#find(key).revision = answer.revision;
    return answer;
  }

  #view(key: number, rows: readonly number[], view: View, pixels: number): Promise<Picture[]> {
    const request = { ...this.#at(key), rows: [...rows], view: { ...view } };
    const { width, height } = sidesOf(this.#traits.shape, view.size);
    const fits = ({ frames }: Picture) =>
      frames.every((frame) => frame.width === width && frame.height === height);
    return this.#calls.bytes("view", request, pixels + HEAD_BYTES * (1 + rows.length), (bytes) => {
      const pictures = picturesOf(bytes);
      return pictures?.length === rows.length && pictures.every(fits) ? pictures : null;
    });
  }

  /** What bytes cannot tell: whether as many values are there as the tokens have. The rest is the server's to check. */
  #checkKept({ keep = [] }: Task): void {
    keep.forEach((tokens, stage) => {
      const problem = tokensProblem(this.#traits.tokens, tokens, tokens.count);
      if (problem) throw new TtsVarError("CONFIG_INVALID", `kept tokens of stage ${stage}: ${problem}`);
    });
  }

  #signalsOf(
    key: number,
    call: string,
    { tokenHash, values }: Pick<Answers["step"], "tokenHash" | "values">,
  ): StageSignals {
    const { width } = this.#find(key);
    this.#expectEntries(call, tokenHash.length, width);
    const lists = Object.entries(values).map(([name, list]) => {
      this.#expectEntries(call, list.length, width);
      return [name, Float64Array.from(list)] as const;
    });
    return { tokenHash, values: Object.fromEntries(lists) };
  }

  #tokensOf(call: string, wired: readonly WireTokens[]): Tokens[] {
    const { tokens: kind } = this.#traits;
    return wired.map((each) => {
      try {
        const tokens = tokensOf(kind, each);
        const problem = tokensProblem(kind, tokens, each.count);
        if (problem) throw new RangeError(problem);
        return tokens;
      } catch (cause) {
        throw this.#wrong(call, `with tokens that are none: ${(cause as Error).message}`);
      }
    });
  }

  #expectEntries(call: string, found: number, wanted: number): void {
    if (found !== wanted) throw this.#wrong(call, `with ${found} entries instead of ${wanted}`);
  }

  #wrong(call: string, how: string): TtsVarError {
    return new TtsVarError("MODEL_INVALID", `${this.#calls.name} answered ${call} ${how}`);
  }

  #post<Name extends keyof Answers>(name: Name, request: Requests[Name]): Promise<Answers[Name]> {
    return this.#calls.json(name, request, answerSchemas[name]) as Promise<Answers[Name]>;
  }

  #add(state: RemoteState): number {
    this.#sessions.set(++this.#started, state);
    return this.#started;
  }

  #find(key: number): RemoteState {
    const state = this.#sessions.get(key);
    if (!state) throw new RangeError(`session ${key} does not exist`);
    return state;
  }

  #at(key: number): { session: string; revision: number } {
    const { handle, revision } = this.#find(key);
    return { session: handle, revision };
  }

  #touch(): void {
    const sessions = Array.from(this.#sessions.values(), ({ handle }) => handle);
    // Whatever is wrong, the next call of the search will say it.
    if (sessions.length > 0) this.#post("touch", { sessions }).catch(() => undefined);
  }
}

/** A handle is an identity and a secret, not a draw: it must differ between runs. */
function newHandle(): string {
  return randomBytes(16).toString("hex");
}
