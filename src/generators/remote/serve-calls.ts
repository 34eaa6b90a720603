import { createHash } from "node:crypto";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { Capability, Generator, Pick, StageSignals } from "../../core/generator.ts";
import { chooseShape } from "../choose-shape.ts";
import { type Info, METHODS, type Method, PROTOCOL, requestSchemas } from "./protocol.ts";
import { RemoteFailure, SessionStore } from "./session-store.ts";
import { bytesOfPictures, imageOf, taskOf, wireTokens } from "./wire.ts";

/** What a server allows its clients. */
export interface ServeLimits {
  /** Candidates per session. */
  readonly rows: number;
  readonly sessions: number;
  readonly requestBytes: number;
  /** Seconds after which a session that its client forgot is dropped. */
  readonly idleSeconds: number;
}

export const DEFAULT_LIMITS: ServeLimits = {
  rows: 64,
  sessions: 64,
  requestBytes: 8 * 2 ** 20,
  idleSeconds: 900,
};

type Parsed = { [Name in Method]: z.output<(typeof requestSchemas)[Name]> };

/** The calls of the protocol over a generator of this process, free of HTTP: JSON in, JSON or bytes out. */
export class ServeCalls {
  readonly info: Info;
  readonly #generator: Generator;
  readonly #limits: ServeLimits;
  readonly #sessions: SessionStore;
  /** The same weights under the settings of earlier clients. */
  readonly #configured = new Map<string, Promise<Generator>>();

  constructor(generator: Generator, limits: ServeLimits) {
    const { name, version, shape } = generator.traits;
    const { rows, requestBytes, idleSeconds } = limits;
    const { id, width, height } = shape;
    this.info = {
      protocol: PROTOCOL,
      name,
      version,
      shapes: [{ id, width, height }],
      limits: { rows, requestBytes, idleSeconds },
    };
    this.#generator = generator;
    this.#limits = limits;
    this.#sessions = new SessionStore(limits.sessions, limits.idleSeconds);
  }

  /**
   * Answers a call.
   *
   * @param body the request as it came, by which a repeated one is recognised
   * @throws RemoteFailure, TtsVarError
   */
  async call(name: string, body: Buffer): Promise<object | Buffer> {
    const method = METHODS.find((known) => known === name);
    if (!method) {
      const known = METHODS.join(", ");
      throw new RemoteFailure("unknown-method", `there is no method ${name.slice(0, 40)}; known: ${known}`);
    }
    const parsed = requestSchemas[method].safeParse(parseJson(body));
    if (!parsed.success) {
      throw new RemoteFailure("invalid-request", `${method}: ${z.prettifyError(parsed.error)}`);
    }
    const call = createHash("sha256").update(`${method}\0`).update(body).digest("base64");
    return (this.#methods[method] as (request: unknown, call: string) => Promise<object | Buffer>)(
      parsed.data,
      call,
    );
  }

  close(): void {
    this.#sessions.close();
  }

  readonly #methods: {
    [Name in Method]: (request: Parsed[Name], call: string) => Promise<object | Buffer>;
  } = {
    traits: async ({ shape, settings }) => {
      chooseShape(this.info.shapes, shape);
      return { traits: (await this.#under(settings)).traits };
    },
    start: async ({ session, model, shape, settings, task, ids }, call) => {
      this.#checkModel(model);
      this.#checkShape(shape);
      this.#checkWidth(ids.length);
      return this.#sessions.open(session, call, async () => {
        const generator = await this.#under(settings);
        return generator.start(taskOf(generator.traits.tokens, task), ids);
      });
    },
    step: async ({ session, revision }, call) =>
      this.#sessions.change(session, revision, call, async (target) => {
        const { length } = this.#generator.traits.stages;
        if (target.stage >= length)
          throw new RemoteFailure("invalid-request", `all ${length} stages are done`);
        return { ...jsonSignals(await target.step()), stage: target.stage };
      }),
    select: async ({ session, revision, picks }, call) => {
      this.#checkWidth(picks.length);
      return this.#sessions.change(session, revision, call, async (target) => {
        checkRows(parentsOf(picks), target.ids.length);
        await target.select(picks);
        return {};
      });
    },
    branch: async ({ session, revision, branch, picks }, call) => {
      this.#checkWidth(picks.length);
      return this.#sessions.open(branch, call, async () => {
        const target = await this.#sessions.at(session, revision);
        checkRows(parentsOf(picks), target.ids.length);
        return target.branch(picks);
      });
    },
    view: async ({ session, revision, rows, view }) => {
      this.#checkWidth(rows.length);
      const target = await this.#sessions.at(session, revision);
      checkRows(rows, target.ids.length);
      if (target.stage === 0) {
        throw new RemoteFailure("invalid-request", "there is nothing to look at before the first stage");
      }
      return bytesOfPictures(await target.view(rows, view));
    },
    tokens: async ({ session, revision, rows, stage }) => {
      const target = await this.#sessions.at(session, revision);
      checkRows(rows, target.ids.length);
      if (stage >= target.stage) throw new RemoteFailure("invalid-request", `stage ${stage} is not done`);
      const { tokens: kind } = this.#generator.traits;
      return { tokens: (await target.tokens(rows, stage)).map((tokens) => wireTokens(kind, tokens)) };
    },
    refine: async ({ session, revision, share, ids }, call) =>
      this.#sessions.change(session, revision, call, async (target) => {
        checkIds(ids, target.ids.length);
        return jsonSignals(await capable(target.refine, "refine").call(target, share, ids));
      }),
    rewind: async ({ session, revision, stage, ids }, call) =>
      this.#sessions.change(session, revision, call, async (target) => {
        checkIds(ids, target.ids.length);
        await capable(target.rewind, "rewind").call(target, stage, ids);
        return {};
      }),
    encode: async ({ shape, image }) => {
      this.#checkShape(shape);
      const encode = capable(this.#generator.encode, "encode");
      const { tokens: kind } = this.#generator.traits;
      const tokens = await encode.call(this.#generator, imageOf(image));
      return { tokens: tokens.map((each) => wireTokens(kind, each)) };
    },
    release: async ({ session }) => {
      this.#sessions.release(session);
      return {};
    },
    touch: async ({ sessions }) => ({ gone: this.#sessions.touch(sessions) }),
  };

  /** @throws TtsVarError CONFIG_INVALID for settings that the model does not have */
  async #under(settings: Readonly<Record<string, unknown>>): Promise<Generator> {
    const { withSettings } = this.#generator;
    if (Object.keys(settings).length === 0) return this.#generator;
    if (!withSettings) {
      throw new RemoteFailure(
        "invalid-request",
        "this model's settings cannot be changed while it is served",
      );
    }
    const key = JSON.stringify(settings);
    const known = this.#configured.get(key) ?? withSettings.call(this.#generator, settings);
    // Clients may think of endlessly many; the oldest go.
    if (this.#configured.size >= MOST_CONFIGURED) {
      this.#configured.delete(this.#configured.keys().next().value!);
    }
    this.#configured.set(key, known);
    known.catch(() => this.#configured.delete(key));
    return known;
  }

  #checkModel(model: string): void {
    if (model === this.#generator.traits.version) return;
    throw new RemoteFailure(
      "model-changed",
      `this server now runs ${this.#generator.traits.version}, not ${model.slice(0, 200)}; plan and run the search again`,
    );
  }

  #checkShape(shape: string): void {
    const { id } = this.#generator.traits.shape;
    if (shape === id) return;
    throw new RemoteFailure("invalid-request", `this server serves the shape ${id}, not ${shape}`);
  }

  #checkWidth(count: number): void {
    const { rows } = this.#limits;
    if (count <= rows) return;
    throw new RemoteFailure(
      "too-large",
      `${count} candidates at a time, but this server allows ${rows}; search with fewer (--widths, --budget), or ` +
        "start the server with a larger --max-rows",
    );
  }
}

/** Settings under which a generator is kept ready. */
const MOST_CONFIGURED = 64;

function capable<Method>(method: Method | undefined, name: Capability): Method {
  if (method === undefined) throw new RemoteFailure("unknown-method", `this model cannot ${name}`);
  return method;
}

function checkIds(ids: readonly string[], width: number): void {
  if (ids.length === width) return;
  throw new RemoteFailure("invalid-request", `${ids.length} ids given, ${width} needed`);
}

function jsonSignals({ tokenHash, values }: StageSignals) {
  const lists = Object.entries(values).map(([name, list]) => [name, [...list]] as const);
  return { tokenHash: [...tokenHash], values: Object.fromEntries(lists) };
}

function parentsOf(picks: readonly Pick[]): number[] {
  return picks.map(({ parent }) => parent);
}

function checkRows(rows: readonly number[], width: number): void {
  const wrong = rows.find((row) => row >= width);
  if (wrong === undefined) return;
  throw new RemoteFailure("invalid-request", `row ${wrong} is outside 0..${width - 1}`);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new RemoteFailure("invalid-request", "the body is no valid JSON");
  }
}

/** The failure that a client is told for whatever a generator threw. */
export function asFailure(error: unknown): RemoteFailure {
  if (error instanceof RemoteFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const userCaused = error instanceof TtsVarError && error.code === "CONFIG_INVALID";
  return new RemoteFailure(userCaused ? "invalid-request" : "failed", message);
}
