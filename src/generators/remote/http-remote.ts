import { randomBytes } from "node:crypto";
import type { SampleRequest } from "../../core/generator.ts";
import type { RgbImage } from "../../core/image.ts";
import type { Remote } from "../../inference/runtime/worker/inference-worker.ts";
import { type Endpoint, HttpCalls } from "./http-calls.ts";
import {
  type Answers,
  answerSchemas,
  bitsFromText,
  bitsToText,
  type Info,
  type InfoSchedule,
  type Requests,
} from "./protocol.ts";
import type { GeneratorMethods } from "./session-calls.ts";

/** Closing waits no longer than this for sessions to be released; what is left expires on the server. */
const RELEASE_MS = 2000;

/** A session as both sides know it. */
interface RemoteState {
  readonly handle: string;
  /** Changes so far; names the state that a call is meant for, and makes repeating it harmless. */
  revision: number;
}

/** A generator's calls carried out by a server: the same methods as in the inference worker, over HTTP. */
export class HttpRemote implements Remote<GeneratorMethods> {
  readonly #calls: HttpCalls;
  readonly #info: Info;
  readonly #schedule: InfoSchedule;
  readonly #sessions = new Map<number, RemoteState>();
  readonly #keepAlive: NodeJS.Timeout;
  #started = 0;
  #closing: Promise<void> | undefined;

  constructor(endpoint: Endpoint, info: Info, schedule: InfoSchedule) {
    this.#calls = new HttpCalls(endpoint);
    this.#info = info;
    this.#schedule = schedule;
    // A search may look elsewhere for long, at a slow reward or at other sessions; its own must not expire meanwhile.
    this.#keepAlive = setInterval(() => this.#touch(), (info.limits.idleSeconds * 1000) / 3).unref();
  }

  readonly #methods: GeneratorMethods = {
    start: async (request) => {
      const handle = newHandle();
      const { revision } = await this.#post("start", this.#startRequest(handle, request));
      return this.#add({ handle, revision });
    },
    step: async (key) => {
      const { revision, ...signals } = await this.#change(key, "step", {});
      return {
        logProb: Float64Array.from(signals.logProb),
        entropy: Float64Array.from(signals.entropy),
        guidanceGap: Float64Array.from(signals.guidanceGap),
        tokenHash: signals.tokenHash,
      };
    },
    select: async (key, picks) => {
      await this.#change(key, "select", { picks: [...picks] });
    },
    branch: async (key, picks) => {
      const handle = newHandle();
      const { revision } = await this.#post("branch", {
        ...this.#at(key),
        branch: handle,
        picks: [...picks],
      });
      return this.#add({ handle, revision });
    },
    decode: async (key, rows, latent) => {
      if (rows.length === 0) return [];
      const { pixelsPerLatent } = this.#info;
      const size = latent ?? this.#schedule.latent;
      const height = size.h * pixelsPerLatent;
      const width = size.w * pixelsPerLatent;
      const length = height * width * 3;
      const request = { ...this.#at(key), rows: [...rows], ...(latent === undefined ? {} : { latent }) };
      const pixels = await this.#calls.bytes("decode", request, rows.length * length);
      return rows.map((_, index) => {
        // A copy of its own: an image must not keep all others of its call in memory.
        const data = new Uint8Array(pixels.subarray(index * length, (index + 1) * length));
        return { width, height, data };
      });
    },
    bits: async (key, row) => {
      const { bits } = await this.#post("bits", { ...this.#at(key), row });
      return bits.map(bitsFromText);
    },
    encode: async ({ width, height, data }: RgbImage) => {
      const pixels = Buffer.from(data).toString("base64");
      const { bits } = await this.#post("encode", { schedule: this.#schedule.id, width, height, pixels });
      return bits.map(bitsFromText);
    },
    release: async (key) => {
      const { handle } = this.#find(key);
      this.#sessions.delete(key);
      await this.#post("release", { session: handle });
    },
  };

  call<K extends keyof GeneratorMethods & string>(
    method: K,
    ...args: Parameters<GeneratorMethods[K]>
  ): ReturnType<GeneratorMethods[K]> {
    const run = this.#methods[method] as (...given: unknown[]) => ReturnType<GeneratorMethods[K]>;
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

  #startRequest(handle: string, request: SampleRequest): Requests["start"] {
    const { prompt, negativePrompt, seed, ids, settings, forcedBits } = request;
    return {
      session: handle,
      model: this.#info.version,
      schedule: this.#schedule.id,
      prompt,
      ...(negativePrompt === undefined ? {} : { negativePrompt }),
      seed,
      ids: [...ids],
      settings: {
        ...settings,
        guidance: [...settings.guidance],
        temperature: [...settings.temperature],
      },
      ...(forcedBits === undefined ? {} : { forcedBits: forcedBits.map(bitsToText) }),
    };
  }

  async #change<Name extends "step" | "select">(
    key: number,
    name: Name,
    fields: Omit<Requests[Name], "session" | "revision">,
  ): Promise<Answers[Name]> {
    const answer = await this.#post(name, { ...this.#at(key), ...fields } as Requests[Name]);
    this.#find(key).revision = answer.revision;
    return answer;
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
