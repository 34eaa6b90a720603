import * as z from "zod";
import { TtsVarError } from "../../core/errors.ts";

/**
 * What goes over the wire between a search and a generator that computes elsewhere. `docs/remote-sampler.md` is the same
 * in words, for authors of servers.
 */

/** Name and major version; a server of another one is refused. */
export const PROTOCOL = "tts-var-sampler/1";
export const PREFIX = "/v1/";

/** Calls by name; each is `POST /v1/<name>` with a JSON body. */
export const METHODS = [
  "start",
  "step",
  "select",
  "branch",
  "decode",
  "bits",
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
/** Longest side of an image: what a server claims, its clients will take the memory for. */
const MOST_PIXELS = 8192;
const flops = z.number().min(0);
const grid = z.object({ h: count, w: count });

export const settingsSchema = z.strictObject({
  guidance: z.array(z.number()),
  temperature: z.array(z.number()),
  topP: z.number(),
  topK: count.optional(),
  guidanceUntil: z.int().min(0),
});

const scheduleSchema = z
  .object({
    id: z.string().min(1),
    /** Token grids, coarse to fine. */
    scales: z.array(grid).min(1),
    /** Grid that `decode` reads at full size. */
    latent: grid,
    defaults: z.object(settingsSchema.shape),
    /** FLOPs for one candidate; `text` once per prompt, `decodePerCell` per decoded latent cell. */
    cost: z.object({
      text: flops,
      stages: z.array(z.object({ guided: flops, unguided: flops })),
      sharedStages: z.int().min(0),
      decodePerCell: flops,
    }),
  })
  .superRefine(({ scales, defaults, cost }, context) => {
    const lists = { ...defaults, "cost.stages": cost.stages };
    for (const name of ["guidance", "temperature", "cost.stages"] as const) {
      if (lists[name].length === scales.length) continue;
      context.addIssue({ code: "custom", message: `${name} must have one entry per scale` });
    }
  });

/** The answer of `GET /v1/info`: everything that planning needs. */
export const infoSchema = z
  .object({
    protocol: z.literal(PROTOCOL),
    name: z.string().min(1),
    /** Changes whenever the same request could give other pixels. */
    version: z.string().min(1),
    pixelsPerLatent: count,
    bitsPerToken: count.optional(),
    /** Whether `encode` is answered. */
    encodes: z.boolean(),
    /** Aspect ratios and sizes; the first is the default. */
    schedules: z.array(scheduleSchema).min(1),
    limits: z.object({ rows: count, requestBytes: count, idleSeconds: z.number().positive() }),
  })
  .superRefine(({ pixelsPerLatent, schedules }, context) => {
    for (const { id, latent } of schedules) {
      if (Math.max(latent.h, latent.w) * pixelsPerLatent <= MOST_PIXELS) continue;
      context.addIssue({
        code: "custom",
        message: `${id.slice(0, 40)}: images must not be over ${MOST_PIXELS} pixels wide or high`,
      });
    }
  });
export type Info = z.output<typeof infoSchema>;
export type InfoSchedule = Info["schedules"][number];

const revision = z.object({ revision: z.int().min(0) });
const signal = z.array(z.number());
const bits = z.object({ bits: z.array(z.string().regex(/^[01]*$/)) });

/** JSON answers by call; `decode` answers bytes. Fields that a newer server adds are ignored. */
export const answerSchemas = {
  start: revision,
  step: revision.extend({
    stage: count,
    logProb: signal,
    entropy: signal,
    guidanceGap: signal,
    tokenHash: z.array(z.string()),
  }),
  select: revision,
  branch: revision,
  bits,
  encode: bits,
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
const inSession = { session: handle, revision: z.int().min(0) };
const pick = z.strictObject({ parent: z.int().min(0), id });

/** Requests by call. Unknown fields are refused: who sends more than is understood must not get an answer to less. */
export const requestSchemas = {
  start: z.strictObject({
    session: handle,
    model: z.string().max(1000),
    schedule: z.string().max(256).optional(),
    prompt: z.string().max(20_000),
    negativePrompt: z.string().max(20_000).optional(),
    seed: z.union([z.int(), id]),
    ids: z.array(id).min(1),
    settings: settingsSchema,
    forcedBits: bits.shape.bits.optional(),
  }),
  step: z.strictObject(inSession),
  select: z.strictObject({ ...inSession, picks: z.array(pick).min(1) }),
  branch: z.strictObject({ ...inSession, branch: handle, picks: z.array(pick).min(1) }),
  decode: z.strictObject({
    ...inSession,
    rows: z.array(z.int().min(0)).min(1),
    latent: z.strictObject({ h: count, w: count }).optional(),
  }),
  bits: z.strictObject({ ...inSession, row: z.int().min(0) }),
  encode: z.strictObject({
    schedule: z.string().max(256).optional(),
    width: count,
    height: count,
    pixels: z.base64(),
  }),
  release: z.strictObject({ session: handle }),
  touch: z.strictObject({ sessions: z.array(handle) }),
} as const;
export type Requests = { [Name in Method]: z.input<(typeof requestSchemas)[Name]> };

/** `Uint8Array [0, 1, 1]` -> `"011"`. */
export function bitsToText(bits: Uint8Array): string {
  return Buffer.from(bits.map((bit) => (bit === 0 ? 0x30 : 0x31))).toString("latin1");
}

export function bitsFromText(text: string): Uint8Array {
  return Uint8Array.from(text, (digit) => (digit === "1" ? 1 : 0));
}

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
