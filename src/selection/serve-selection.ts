import { createHash, randomBytes } from "node:crypto";
import * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { SearchFunction } from "../core/strategy.ts";
import { HttpFailure, type ListenOptions, type Served, serveJson } from "../http/json-server.ts";
import { SessionStore } from "../http/session-store.ts";
import { answerSchema, createSchema, PREFIX, PROTOCOL } from "./protocol.ts";
import { Selection } from "./selection.ts";

export interface SelectionLimits {
  readonly sessions: number;
  readonly requestBytes: number;
  /** Seconds after which a session that its loop forgot is dropped. */
  readonly idleSeconds: number;
}

const DEFAULT_LIMITS: SelectionLimits = { sessions: 256, requestBytes: 8 * 2 ** 20, idleSeconds: 3600 };

export interface SelectionOptions extends ListenOptions {
  readonly limits?: Partial<SelectionLimits>;
}

/** Finds a strategy by name and checks its options. */
export type LoadStrategy = (name: string, options: unknown) => Promise<SearchFunction>;

/**
 * Serves strategies to loops of other programs: which candidates go on, which are copied (`docs/selection-server.md`).
 *
 * @throws TtsVarError as `serveJson`
 */
export function serveSelection(load: LoadStrategy, options: SelectionOptions = {}): Promise<Served> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const sessions = new SessionStore<Selection>(limits.sessions, limits.idleSeconds);
  const info = { protocol: PROTOCOL, limits };

  async function create(body: Buffer): Promise<object> {
    const request = parse(createSchema, body);
    const { strategy } = request;
    const { name, options: own = {} } = typeof strategy === "string" ? { name: strategy } : strategy;
    const selection = new Selection(request, await load(name, own));
    const session = randomBytes(16).toString("hex");
    await sessions.open(session, "", async () => selection);
    return { session, revision: 0, ...selection.turn };
  }

  async function answer(session: string, body: Buffer): Promise<object> {
    const request = parse(answerSchema, body);
    // By its bytes: a loop whose connection broke may send the same again.
    const call = createHash("sha256").update(body).digest("base64");
    const told = await sessions.change(session, request.revision, call, async (selection) =>
      selection.answer(request),
    );
    return { session, ...told };
  }

  return serveJson(
    {
      tokenVariable: "TTSVAR_SELECTION_TOKEN",
      requestBytes: limits.requestBytes,
      async answer(method, path, body) {
        const [, session] = /^\/v1\/sessions\/([0-9a-f]{32})$/.exec(path) ?? [];
        if (method === "GET" && path === `${PREFIX}info`) return info;
        if (method === "POST" && path === `${PREFIX}sessions`) return create(await body());
        if (method === "POST" && session !== undefined) return answer(session, await body());
        if (method === "DELETE" && session !== undefined) {
          sessions.release(session);
          return {};
        }
        throw new HttpFailure(
          "unknown-method",
          404,
          `${method} ${path.slice(0, 80)} is not served; this server speaks ${PROTOCOL}: GET ${PREFIX}info, POST ` +
            `${PREFIX}sessions, POST and DELETE ${PREFIX}sessions/SESSION`,
        );
      },
      asFailure,
      close: () => sessions.close(),
    },
    options,
  );
}

function parse<Schema extends z.ZodType>(schema: Schema, body: Buffer): z.output<Schema> {
  const parsed = schema.safeParse(jsonOf(body));
  if (parsed.success) return parsed.data;
  throw new TtsVarError("CONFIG_INVALID", z.prettifyError(parsed.error));
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Whatever a loop can mend is its own mistake; a strategy that fails is the server's. */
function asFailure(error: unknown): HttpFailure {
  if (error instanceof HttpFailure) return error;
  const message = error instanceof Error ? error.message : String(error);
  const mended = error instanceof TtsVarError && error.exitCode !== 1;
  return mended ? new HttpFailure("invalid-request", 400, message) : new HttpFailure("failed", 500, message);
}
