import * as http from "node:http";
import * as https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod";
import { withDeadline } from "../../core/deadline.ts";
import { type ErrorCode, TtsVarError } from "../../core/errors.ts";
import { readAtMost } from "../../core/read-at-most.ts";
import { errorSchema, PREFIX, type WireErrorCode } from "./protocol.ts";

/** Where a server is and how it is spoken to. */
export interface Endpoint {
  readonly address: URL;
  readonly token: string | undefined;
  /** Milliseconds that one attempt may take. */
  readonly timeoutMs: number;
}

/** Pauses before further attempts. Every call of the protocol may be repeated, so all of them are. */
const PAUSES_MS = [200, 800];

/** What this side did wrong; whatever else a server calls its failures, they are the server's. */
const OURS: readonly WireErrorCode[] = ["invalid-request", "unauthorized", "wrong-host"];

/** Answers in JSON: bits of an image are the longest, less than a MiB for Infinity's largest. */
const MOST_JSON_BYTES = 16 * 2 ** 20;
const MOST_ERROR_BYTES = 64 * 2 ** 10;
/** Problems and characters of a server's own words that a message repeats. */
const MOST_ISSUES = 8;
const MOST_WORDS = 1000;

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
  /** Whether the body is all that came; what is longer than expected is not read to its end. */
  readonly whole: boolean;
}

/**
 * Calls of one server, over connections that stay open between them. Requests that got no answer, or a 503, are sent
 * again, byte for byte, at most twice; a request that takes too long is not.
 */
export class HttpCalls {
  readonly #endpoint: Endpoint;
  readonly #mostRequestBytes: number;
  readonly #agent: http.Agent;
  #closed = false;

  /** @param mostRequestBytes what the server takes, as far as that is known */
  constructor(endpoint: Endpoint, mostRequestBytes = Number.POSITIVE_INFINITY) {
    this.#endpoint = endpoint;
    this.#mostRequestBytes = mostRequestBytes;
    const secure = endpoint.address.protocol === "https:";
    this.#agent = new (secure ? https.Agent : http.Agent)({ keepAlive: true, noDelay: true });
  }

  /** What the user calls the server, for messages. */
  get name(): string {
    return `the generator at ${this.#endpoint.address.href.replace(/\/$/, "")}`;
  }

  /**
   * A JSON answer.
   *
   * @param path name of a call, or a path that begins with a slash
   * @param body undefined: GET
   */
  async json<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    const reply = await this.#answer(path, body, MOST_JSON_BYTES);
    if (!reply.whole) {
      throw new TtsVarError(
        "MODEL_INVALID",
        `${this.name} answered ${path} with more than ${MOST_JSON_BYTES / 2 ** 20} MiB; is it a generator's address?`,
      );
    }
    const parsed = schema.safeParse(parseJson(reply));
    if (parsed.success) return parsed.data;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${this.name} answered ${path} in another form than the protocol's:\n${z.prettifyError({ issues: parsed.error.issues.slice(0, MOST_ISSUES) })}`,
    );
  }

  /**
   * A binary answer.
   *
   * @param most bytes; what is longer is not read
   * @param read what the bytes mean; null: they are not of the form that was asked for
   */
  async bytes<Value>(
    path: string,
    body: unknown,
    most: number,
    read: (bytes: Buffer) => Value | null,
  ): Promise<Value> {
    const reply = await this.#answer(path, body, most);
    const value = reply.whole ? read(reply.body) : null;
    if (value !== null) return value;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${this.name} answered ${path} with ${reply.whole ? "" : "more than "}${reply.body.length} bytes that are not what was asked for`,
    );
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  async #answer(path: string, body: unknown, most: number): Promise<Reply> {
    const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
    // The server would refuse it unread, and its answer be lost with the connection.
    if (payload && payload.length > this.#mostRequestBytes) throw this.#tooLarge(path, payload.length);
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#once(path, payload, most).catch((error: Error) => error);
      const failed = outcome instanceof Error;
      if (!failed && outcome.status === 200) return outcome;
      const again = failed ? !this.#closed && !(outcome instanceof Late) : outcome.status === 503;
      const wait = PAUSES_MS[attempt];
      if (!again || wait === undefined) {
        throw failed ? this.#unreachable(outcome, attempt + 1) : this.#refusal(path, outcome);
      }
      await pause(wait);
    }
  }

  #once(path: string, payload: Buffer | null, most: number): Promise<Reply> {
    const { address, token, timeoutMs } = this.#endpoint;
    const base = address.pathname === "/" ? "" : address.pathname;
    const url = new URL(`${base}${path.startsWith("/") ? path : PREFIX + path}`, address);
    const headers: http.OutgoingHttpHeaders = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(payload ? { "content-type": "application/json", "content-length": payload.length } : {}),
    };
    const { request } = url.protocol === "https:" ? https : http;
    const method = payload ? "POST" : "GET";
    const exchange = async (signal: AbortSignal): Promise<Reply> => {
      const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
        request(url, { method, agent: this.#agent, headers, signal }, resolve)
          .on("error", reject)
          .end(payload ?? undefined);
      });
      const { statusCode: status = 0, headers: received } = response;
      const { bytes, whole } = await readAtMost(response, status === 200 ? most : MOST_ERROR_BYTES);
      return { status, type: received["content-type"] ?? "", body: bytes, whole };
    };
    return withDeadline(exchange, { timeoutMs, late: () => new Late() });
  }

  #tooLarge(path: string, bytes: number): TtsVarError {
    return new TtsVarError(
      "MODEL_RUNTIME",
      `${this.name} takes requests of ${this.#mostRequestBytes} bytes, but ${path} needs ${bytes}; start it with a larger ` +
        "--max-request-bytes, or give a smaller image",
      { details: { remoteCode: "too-large" satisfies WireErrorCode } },
    );
  }

  #refusal(path: string, reply: Reply): TtsVarError {
    const parsed = errorSchema.safeParse(parseJson(reply));
    if (!parsed.success) {
      return new TtsVarError(
        "MODEL_INVALID",
        `${this.name} answered ${path} with ${reply.status} (${printable(reply.type) || "no type"}), not as the protocol says; ` +
          "is it a generator's address?",
      );
    }
    const { code, message, details } = parsed.data.error;
    const text =
      code === "unauthorized"
        ? this.#endpoint.token === undefined
          ? `${this.name} wants a token; put it into the environment as TTSVAR_SAMPLER_TOKEN`
          : `${this.name} does not accept the token in TTSVAR_SAMPLER_TOKEN; it must be the server's own`
        : `${this.name}: ${printable(message)}`;
    const family: ErrorCode = OURS.some((known) => known === code) ? "CONFIG_INVALID" : "MODEL_RUNTIME";
    return new TtsVarError(family, text, {
      details: { ...details, remoteCode: code },
    });
  }

  #unreachable(error: NodeJS.ErrnoException, attempts: number): TtsVarError {
    if (this.#closed) return new TtsVarError("MODEL_RUNTIME", `${this.name} was closed`);
    if (error instanceof Late) {
      const seconds = this.#endpoint.timeoutMs / 1000;
      return new TtsVarError(
        "MODEL_RUNTIME",
        `${this.name} did not answer within ${seconds} s; if it only needs longer, set TTSVAR_SAMPLER_TIMEOUT (seconds)`,
        { cause: error },
      );
    }
    const { code, message } = error;
    return new TtsVarError(
      "MODEL_RUNTIME",
      `${this.name} cannot be reached (${code ?? message}, ${attempts} attempts); check the address and that it runs`,
      { cause: error },
    );
  }
}

/** An attempt took too long. */
class Late extends Error {}

/** A server's words without what would steer the terminal, and not too many of them. */
function printable(text: string): string {
  const plain = text.replace(/(?!\n)\p{Cc}/gu, " ");
  return plain.length > MOST_WORDS ? `${plain.slice(0, MOST_WORDS)}...` : plain;
}

function parseJson({ body }: Reply): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
