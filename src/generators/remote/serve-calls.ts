import { createHash } from "node:crypto";
import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { Generator, Pick, SampleRequest, StageSignals } from "../../core/generator.ts";
import {
  bitsFromText,
  bitsToText,
  type Info,
  METHODS,
  type Method,
  PROTOCOL,
  requestSchemas,
} from "./protocol.ts";
import { RemoteFailure, SessionStore } from "./session-store.ts";

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

  constructor(generator: Generator, limits: ServeLimits) {
    this.info = describeSampler(generator, limits);
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
    start: async ({ session, model, schedule, ...request }, call) => {
      this.#checkModel(model);
      this.#checkSchedule(schedule);
      this.#checkWidth(request.ids.length);
      return this.#sessions.open(session, call, () => this.#generator.start(sampleRequest(request)));
    },
    step: async ({ session, revision }, call) =>
      this.#sessions.change(session, revision, call, async (target) => {
        if (target.stage >= this.#generator.scales.length) {
          const count = this.#generator.scales.length;
          throw new RemoteFailure("invalid-request", `all ${count} stages are done`);
        }
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
    decode: async ({ session, revision, rows, latent }) => {
      this.#checkWidth(rows.length);
      const target = await this.#sessions.at(session, revision);
      checkRows(rows, target.ids.length);
      if (target.stage === 0) {
        throw new RemoteFailure("invalid-request", "there is nothing to decode before the first stage");
      }
      const images = await target.decode(rows, latent);
      return Buffer.concat(images.map(({ data }) => data));
    },
    bits: async ({ session, revision, row }) => {
      const target = await this.#sessions.at(session, revision);
      checkRows([row], target.ids.length);
      return { bits: (await target.bits(row)).map(bitsToText) };
    },
    encode: async ({ schedule, width, height, pixels }) => {
      this.#checkSchedule(schedule);
      if (!this.#generator.encode) throw new RemoteFailure("unknown-method", "this model has no encoder");
      const data = new Uint8Array(Buffer.from(pixels, "base64"));
      if (data.length !== width * height * 3) {
        throw new RemoteFailure(
          "invalid-request",
          `pixels has ${data.length} bytes, but ${width * height * 3} are needed`,
        );
      }
      return { bits: (await this.#generator.encode({ width, height, data })).map(bitsToText) };
    },
    release: async ({ session }) => {
      this.#sessions.release(session);
      return {};
    },
    touch: async ({ sessions }) => ({ gone: this.#sessions.touch(sessions) }),
  };

  #checkModel(model: string): void {
    if (model === this.#generator.version) return;
    throw new RemoteFailure(
      "model-changed",
      `this server now runs ${this.#generator.version}, not ${model.slice(0, 200)}; plan and run the search again`,
    );
  }

  #checkSchedule(schedule: string | undefined): void {
    const [{ id }] = this.info.schedules as [Info["schedules"][number]];
    if (schedule === undefined || schedule === id) return;
    throw new RemoteFailure("invalid-request", `this server serves the schedule ${id}, not ${schedule}`);
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

function describeSampler(generator: Generator, { rows, requestBytes, idleSeconds }: ServeLimits): Info {
  const { name, version, scales, latent, pixelsPerLatent, cost, defaults, bitsPerToken } = generator;
  return {
    protocol: PROTOCOL,
    name,
    version,
    pixelsPerLatent,
    ...(bitsPerToken === undefined ? {} : { bitsPerToken }),
    encodes: generator.encode !== undefined,
    schedules: [
      {
        id: generator.schedule ?? "default",
        scales: scales.map(({ h, w }) => ({ h, w })),
        latent,
        defaults: {
          ...defaults,
          guidance: [...defaults.guidance],
          temperature: [...defaults.temperature],
        },
        cost: {
          text: cost.text,
          stages: scales.map(({ index }) => ({
            guided: cost.stage(index, true),
            unguided: cost.stage(index, false),
          })),
          sharedStages: cost.sharedStages,
          decodePerCell: cost.decode(latent) / (latent.h * latent.w),
        },
      },
    ],
    limits: { rows, requestBytes, idleSeconds },
  };
}

function sampleRequest(request: Omit<Parsed["start"], "session" | "model" | "schedule">): SampleRequest {
  const { prompt, negativePrompt, seed, ids, settings, forcedBits } = request;
  const { topK, ...others } = settings;
  return {
    prompt,
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
    seed,
    ids,
    settings: { ...others, ...(topK === undefined ? {} : { topK }) },
    ...(forcedBits === undefined ? {} : { forcedBits: forcedBits.map(bitsFromText) }),
  };
}

function jsonSignals({ logProb, entropy, guidanceGap, tokenHash }: StageSignals) {
  return {
    logProb: [...logProb],
    entropy: [...entropy],
    guidanceGap: [...guidanceGap],
    tokenHash: [...tokenHash],
  };
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
