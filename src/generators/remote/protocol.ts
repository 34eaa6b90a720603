import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { MASK_MODES } from "../../core/task.ts";
import { traitsSchema, viewSchema } from "../traits-schema.ts";

/**
 * What goes over the wire between a search and a generator that computes elsewhere. `docs/remote-sampler.md` is the same
 * in words, for authors of servers.
 */

/** Name and version; a server of another one is refused. */
export const PROTOCOL = "tts-var-sampler/2";
export const PREFIX = "/v2/";

/** Calls by name; each is `POST /v2/<name>` with a JSON body. */
export const METHODS = [
  "traits",
  "start",
  "step",
  "select",
  "branch",
  "view",
  "tokens",
  "refine",
  "rewind",
  "encode",
  "release",
  "touch",
] as const;
export type Method = (typeof METHODS)[number];

/** Codes of error answers, with their HTTP status. */
export const ERROR_STATUS = {
  "invalid-request": 400,
  unauthorized: 401,
  "wrong-host": 403,
  "unknown-session": 404,
  "unknown-method": 404,
  conflict: 409,
  "model-changed": 409,
  "too-large": 413,
  failed: 500,
  busy: 503,
  stopping: 503,
  "out-of-memory": 507,
} as const;
export type WireErrorCode = keyof typeof ERROR_STATUS;

const count = z.int().positive();
/** The answer of `GET /v2/info`: who serves what. */
export const infoSchema = z.object({
  protocol: z.literal(PROTOCOL, {
    error: ({ input }) => `the server speaks ${String(input).slice(0, 40)}, and this tts-var ${PROTOCOL}`,
  }),
  name: z.string().min(1),
  version: z.string().min(1),
  /** Aspect ratios and sizes, in pixels; the first is the default. */
  shapes: z
    .array(z.object({ id: z.string().min(1), width: count, height: count, label: z.string().optional() }))
    .min(1),
  limits: z.object({ rows: count, requestBytes: count, idleSeconds: z.number().positive() }),
});
export type Info = z.output<typeof infoSchema>;

const revision = z.object({ revision: z.int().min(0) });
/** Tokens of a stage: their number, and `bytesOfTokens` in base64. */
const tokens = z.object({ count: z.int().min(0), base64: z.base64() });
const signals = { tokenHash: z.array(z.string()), values: z.record(z.string(), z.array(z.number())) };

/** JSON answers by call; `view` answers bytes. Fields that a newer server adds are ignored. */
export const answerSchemas = {
  traits: z.object({ traits: traitsSchema }),
  start: revision,
  step: revision.extend({ stage: count, ...signals }),
  select: revision,
  branch: revision,
  tokens: z.object({ tokens: z.array(tokens) }),
  refine: revision.extend(signals),
  rewind: revision,
  encode: z.object({ tokens: z.array(tokens) }),
  release: z.object({}),
  touch: z.object({ gone: z.array(z.string()) }),
} as const;

export type Answers = { [Name in keyof typeof answerSchemas]: z.output<(typeof answerSchemas)[Name]> };

export const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

const handle = z.string().regex(/^[0-9A-Za-z]{16,64}$/);
const id = z.string().max(256);
const text = z.string().max(100_000);
const MOST_STAGES = 10_000;
const inSession = { session: handle, revision: z.int().min(0) };
const pick = z.strictObject({ parent: z.int().min(0), id });
const rows = z.array(z.int().min(0)).min(1);
const ids = z.array(id).min(1);
const image = z.strictObject({ width: count, height: count, base64: z.base64() });
/** As configured: what is left out stands as the server's own. */
const settings = z.record(z.string(), z.unknown());

/** A task whole, pixels and tokens in base64. */
const task = z.strictObject({
  prompt: text,
  seed: z.union([z.int(), id]),
  negativePrompt: text.optional(),
  promptAt: z
    .array(z.strictObject({ stage: z.int().min(1), prompt: text }))
    .max(MOST_STAGES)
    .readonly()
    .optional(),
  label: z.int().min(0).optional(),
  source: image.optional(),
  mask: image.optional(),
  maskMode: z.enum(MASK_MODES).optional(),
  keep: z.array(z.strictObject(tokens.shape)).max(MOST_STAGES).optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
export type WireTask = z.output<typeof task>;
export type WireTokens = z.output<typeof tokens>;

/** Requests by call. Unknown fields are refused: who sends more than is understood must not get an answer to less. */
export const requestSchemas = {
  traits: z.strictObject({ shape: id, settings }),
  start: z.strictObject({ session: handle, model: z.string().max(1000), shape: id, settings, task, ids }),
  step: z.strictObject(inSession),
  select: z.strictObject({ ...inSession, picks: z.array(pick).min(1) }),
  branch: z.strictObject({ ...inSession, branch: handle, picks: z.array(pick).min(1) }),
  view: z.strictObject({
    ...inSession,
    rows,
    view: viewSchema,
  }),
  tokens: z.strictObject({ ...inSession, rows, stage: z.int().min(0) }),
  refine: z.strictObject({ ...inSession, share: z.number().gt(0).max(1), ids }),
  rewind: z.strictObject({ ...inSession, stage: z.int().min(0), ids }),
  encode: z.strictObject({ shape: id, image }),
  release: z.strictObject({ session: handle }),
  touch: z.strictObject({ sessions: z.array(handle) }),
} as const;
export type Requests = { [Name in Method]: z.input<(typeof requestSchemas)[Name]> };

/**
 * The address of a server, without a slash at its end.
 *
 * @throws TtsVarError CONFIG_INVALID
 */
export function parseAddress(text: string): URL {
  const url = tryUrl(text);
  const fail = (problem: string): never => {
    throw new TtsVarError("CONFIG_INVALID", `${text} is no address of a generator: ${problem}`);
  };
  if (!url || !/^https?:$/.test(url.protocol)) return fail("it must be http://host:port or https://host");
  if (url.username || url.password) {
    return fail("a token does not belong in it; put it into the environment as TTSVAR_SAMPLER_TOKEN");
  }
  if (url.search || url.hash) return fail("it must not have a query or a fragment");
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

function tryUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
