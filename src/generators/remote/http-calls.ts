import * as http from "node:http";
import * as https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod";
import { type ErrorCode, TtsVarError } from "../../core/errors.ts";
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

const ERROR_CODES: Partial<Record<WireErrorCode, ErrorCode>> = {
  "invalid-request": "CONFIG_INVALID",
  unauthorized: "CONFIG_INVALID",
  "wrong-host": "CONFIG_INVALID",
};

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/**
 * Calls of one server, over connections that stay open between them. Requests that got no answer, or a 503, are sent
 * again, byte for byte, at most twice; a request that takes too long is not.
 */
export class HttpCalls {
  readonly #endpoint: Endpoint;
  readonly #agent: http.Agent;
  #closed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    const secure = endpoint.address.protocol === "https:";
    this.#agent = new (secure ? https.Agent : http.Agent)({ keepAlive: true, noDelay: true });
  }

  /** What the user calls the server, for messages. */
  get name(): string {
    return `the generator at ${this.#endpoint.address.href.replace(/\/$/, "")}`;
  }

  /** A JSON answer. `body` undefined: GET. */
  async json<Schema extends z.ZodType>(
    path: string,
    body: unknown,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    const reply = await this.#answer(path, body);
    const parsed = schema.safeParse(parseJson(reply));
    if (parsed.success) return parsed.data;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${this.name} answered ${path} in another form than the protocol's:\n${z.prettifyError(parsed.error)}`,
    );
  }

  /**
   * A binary answer.
   *
   * @param read what the bytes mean; null: they are not of the form that was asked for
   */
  async bytes<Value>(path: string, body: unknown, read: (bytes: Buffer) => Value | null): Promise<Value> {
    const reply = await this.#answer(path, body);
    const value = read(reply.body);
    if (value !== null) return value;
    throw new TtsVarError(
      "MODEL_INVALID",
      `${this.name} answered ${path} with ${reply.body.length} bytes that are not what was asked for`,
    );
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  async #answer(path: string, body: unknown): Promise<Reply> {
    const payload = body === undefined ? null : Buffer.from(JSON.stringify(body));
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#once(path, payload).catch((error: Error) => error);
      const failed = outcome instanceof Error;
      if (!failed && outcome.status === 200) return outcome;
      const again = failed ? !this.#closed && !isTimeout(outcome) : outcome.status === 503;
      const wait = PAUSES_MS[attempt];
      if (!again || wait === undefined) {
        throw failed ? this.#unreachable(outcome, attempt + 1) : this.#refusal(path, outcome);
      }
      await pause(wait);
    }
  }

  #once(path: string, payload: Buffer | null): Promise<Reply> {
    const { address, token, timeoutMs } = this.#endpoint;
    const url = new URL(`${address.pathname === "/" ? "" : address.pathname}${PREFIX}${path}`, address);
    const headers: http.OutgoingHttpHeaders = {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(payload ? { "content-type": "application/json", "content-length": payload.length } : {}),
    };
    const { request } = url.protocol === "https:" ? https : http;
    return new Promise((resolve, reject) => {
      const sent = request(
        url,
        {
          method: payload ? "POST" : "GET",
          agent: this.#agent,
          headers,
          signal: AbortSignal.timeout(timeoutMs),
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const { statusCode = 0, headers: received } = response;
            const type = received["content-type"] ?? "";
            resolve({ status: statusCode, type, body: Buffer.concat(chunks) });
          });
        },
      );
      sent.on("error", reject);
      sent.end(payload ?? undefined);
    });
  }

  #refusal(path: string, reply: Reply): TtsVarError {
    const parsed = errorSchema.safeParse(parseJson(reply));
    if (!parsed.success) {
      return new TtsVarError(
        "MODEL_INVALID",
        `${this.name} answered ${path} with ${reply.status} (${reply.type || "no type"}), not as the protocol says; ` +
          "is it a generator's address?",
      );
    }
    const { code, message, details } = parsed.data.error;
    const text =
      code === "unauthorized"
        ? this.#endpoint.token === undefined
          ? `${this.name} wants a token; put it into the environment as TTSVAR_SAMPLER_TOKEN`
          : `${this.name} does not accept the token in TTSVAR_SAMPLER_TOKEN; it must be the server's own`
        : `${this.name}: ${message}`;
    return new TtsVarError(ERROR_CODES[code as WireErrorCode] ?? "MODEL_RUNTIME", text, {
      details: { ...details, remoteCode: code },
    });
  }

  #unreachable(error: NodeJS.ErrnoException, attempts: number): TtsVarError {
    if (this.#closed) return new TtsVarError("MODEL_RUNTIME", `${this.name} was closed`);
    if (isTimeout(error)) {
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

function isTimeout(error: Error): boolean {
  return error.name === "AbortError";
}

function parseJson({ body }: Reply): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
