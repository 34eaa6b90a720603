import { createHash } from "node:crypto";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type {
  Capability,
  Generator,
  GeneratorTraits,
  Pick,
  Session,
  StageSignals,
} from "../../core/generator.ts";
import type { Task } from "../../core/task.ts";
import { HttpFailure } from "../../http/json-server.ts";
import { SessionStore } from "../../http/session-store.ts";
import { RemoteFailure } from "./failure.ts";
import { type Info, METHODS, type Method, PROTOCOL, requestSchemas } from "./protocol.ts";

import { UnderSettings } from "./under-settings.ts";
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

/** A session, and the traits under which it was started: stages may depend on settings. */
interface Served {
  readonly session: Session;
  readonly traits: GeneratorTraits;
  release(): void;
}

/** The calls of the protocol over a generator of this process, free of HTTP: JSON in, JSON or bytes out. */
export class ServeCalls {
  readonly info: Info;
  readonly #generator: Generator;
  readonly #limits: ServeLimits;
  readonly #sessions: SessionStore<Served>;
  readonly #under: UnderSettings;

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
    this.#under = new UnderSettings(generator);
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
      throw invalid(`${method}: ${z.prettifyError(parsed.error)}`);
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
      this.#checkShape(shape);
      const { traits } = await this.#configured(settings);
      // The client plans the memory of its own machine.
      return { traits: { ...traits, memory: null } };
    },
    start: async ({ session, model, shape, settings, task: wired, ids }, call) => {
      this.#checkModel(model);
      this.#checkShape(shape);
      this.#checkWidth(ids.length);
      return this.#sessions.open(session, call, async () => {
        const generator = await this.#configured(settings);
        const { traits } = generator;
        const task = taskOf(traits.tokens, wired);
        checkTask(task, traits);
        return served(await generator.start(task, ids), traits);
      });
    },
    step: async ({ session, revision }, call) =>
      this.#sessions.change(session, revision, call, async ({ session: target, traits }) => {
        const { length } = traits.stages;
        if (target.stage >= length) throw invalid(`all ${length} stages are done`);
        return { ...jsonSignals(await target.step()), stage: target.stage };
      }),
    select: async ({ session, revision, picks }, call) => {
      this.#checkWidth(picks.length);
      return this.#sessions.change(session, revision, call, async ({ session: target }) => {
        checkRows(parentsOf(picks), target.ids.length);
        await target.select(picks);
        return {};
      });
    },
    branch: async ({ session, revision, branch, picks }, call) => {
      this.#checkWidth(picks.length);
      return this.#sessions.open(branch, call, async () => {
        const { session: target, traits } = await this.#sessions.at(session, revision);
        checkRows(parentsOf(picks), target.ids.length);
        return served(await target.branch(picks), traits);
      });
    },
    view: async ({ session, revision, rows, view }) => {
      this.#checkWidth(rows.length);
      const { session: target } = await this.#sessions.at(session, revision);
      checkRows(rows, target.ids.length);
      if (target.stage === 0) throw invalid("there is nothing to look at before the first stage");
      return bytesOfPictures(await target.view(rows, view));
    },
    tokens: async ({ session, revision, rows, stage }) => {
      this.#checkWidth(rows.length);
      const { session: target, traits } = await this.#sessions.at(session, revision);
      checkRows(rows, target.ids.length);
      if (stage >= target.stage) throw invalid(`stage ${stage} is not done: ${target.stage} are`);
      return {
        tokens: (await target.tokens(rows, stage)).map((tokens) => wireTokens(traits.tokens, tokens)),
      };
    },
    refine: async ({ session, revision, share, ids }, call) => {
      this.#checkCapable("refine");
      return this.#sessions.change(session, revision, call, async ({ session: target }) => {
        checkIds(ids, target.ids.length);
        if (target.stage === 0) throw invalid("there is nothing to refine before the first stage");
        return jsonSignals(await target.refine!(share, ids));
      });
    },
    rewind: async ({ session, revision, stage, ids }, call) => {
      this.#checkCapable("rewind");
      return this.#sessions.change(session, revision, call, async ({ session: target }) => {
        checkIds(ids, target.ids.length);
        if (stage >= target.stage)
          throw invalid(`cannot go back to stage ${stage}: ${target.stage} are done`);
        await target.rewind!(stage, ids);
        return {};
      });
    },
    encode: async ({ shape, image }) => {
      this.#checkCapable("encode");
      this.#checkShape(shape);
      const { tokens: kind } = this.#generator.traits;
      const tokens = await this.#generator.encode!(imageOf(image));
      return { tokens: tokens.map((each) => wireTokens(kind, each)) };
    },
    release: async ({ session }) => {
      this.#sessions.release(session);
      return {};
    },
    touch: async ({ sessions }) => ({ gone: this.#sessions.touch(sessions) }),
  };

  /** @throws TtsVarError CONFIG_INVALID for settings that the model does not have */
  async #configured(settings: Readonly<Record<string, unknown>>): Promise<Generator> {
    if (Object.keys(settings).length > 0 && !this.#generator.withSettings) {
      throw invalid("this model's settings cannot be changed while it is served; start the server with them");
    }
    return this.#under.for(settings);
  }

  #checkCapable(capability: "refine" | "rewind" | "encode"): void {
    if (this.#generator.traits.can.includes(capability)) return;
    throw new RemoteFailure("unknown-method", `this model cannot ${capability}`);
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
    throw invalid(`this server serves the shape ${id}, not ${shape}`);
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

function invalid(message: string): RemoteFailure {
  return new RemoteFailure("invalid-request", message);
}

function served(session: Session, traits: GeneratorTraits): Served {
  return { session, traits, release: () => session.release() };
}

/** A task that asks for more than the model can do must not be done in part. */
function checkTask({ keep, source, mask, negativePrompt, promptAt }: Task, { can }: GeneratorTraits): void {
  const asked = {
    keep,
    source,
    mask,
    "negative-prompt": negativePrompt,
    "prompt-at": promptAt,
  } satisfies Partial<Record<Capability, unknown>>;
  for (const [capability, value] of Object.entries(asked)) {
    if (value === undefined || can.includes(capability as keyof typeof asked)) continue;
    throw invalid(`this model does not have the capability ${capability}, which the task needs`);
  }
}

function checkIds(ids: readonly string[], width: number): void {
  if (ids.length !== width) throw invalid(`${ids.length} ids given, ${width} needed`);
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
  throw invalid(`row ${wrong} is outside 0..${width - 1}`);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw invalid("the body is no valid JSON");
  }
}

/** The failure that a client is told for whatever a generator threw. */
export function asFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const userCaused = error instanceof TtsVarError && error.code === "CONFIG_INVALID";
  return new RemoteFailure(userCaused ? "invalid-request" : "failed", message);
}
