import { withDeadline } from "../core/deadline.ts";
import { type ErrorCode, TtsVarError } from "../core/errors.ts";
import { readAtMost } from "../core/read-at-most.ts";

export interface PostOptions {
  /** What the user calls the service, for messages. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds per attempt. */
  readonly timeoutMs: number;
  /** Further attempts after the first one. */
  readonly retries: number;
  readonly signal: AbortSignal;
  /** Code of the errors; default: REWARD_FAILED. */
  readonly code?: ErrorCode;
}

/** Scores, and what a reward may want to tell of each image. Nobody needs more; a peer could send without end. */
const mostAnswerBytes = 4 * 2 ** 20;
const firstPauseMs = 200;
/** Longest pause that a server may ask for by Retry-After. */
const longestPauseMs = 60_000;

/** Longest time that `postJson` can take, for hosts with a deadline of their own. */
export function longestPostMs({ timeoutMs, retries }: Pick<PostOptions, "timeoutMs" | "retries">): number {
  return (retries + 1) * timeoutMs + retries * longestPauseMs;
}

/**
 * Posts JSON and returns the JSON answer. Scoring is idempotent, so unreachable servers, timeouts, 408, 429 and 5xx are
 * tried again, never without end, after doubling pauses or those that the server asks for by Retry-After (a minute at
 * most); other answers are final.
 *
 * @throws `options.code` saying what the server did and how often it was asked; the signal's reason when aborted
 */
export async function postJson(url: string, body: unknown, options: PostOptions): Promise<unknown> {
  const payload = JSON.stringify(body);
  let problem = "";
  let wait = 0;
  for (let attempt = 0; attempt <= options.retries; attempt++) {
    if (attempt > 0) await pause(wait, options.signal);
    const outcome = await once(url, payload, options);
    options.signal.throwIfAborted();
    if ("answer" in outcome) return parse(outcome.answer, options);
    problem = outcome.problem;
    wait = Math.min(outcome.retryAfterMs ?? firstPauseMs * 2 ** attempt, longestPauseMs);
    if (outcome.final) throw failed(options, problem, attempt + 1);
  }
  throw failed(options, problem, options.retries + 1);
}

type Outcome =
  | { readonly answer: string }
  | { readonly problem: string; readonly final: boolean; readonly retryAfterMs?: number | undefined };

async function once(url: string, payload: string, options: PostOptions): Promise<Outcome> {
  const { timeoutMs } = options;
  const late = new Error(`it did not answer within ${timeoutMs / 1000} s`);
  try {
    return await withDeadline((signal) => exchange(url, payload, options.headers, signal), {
      signal: options.signal,
      timeoutMs,
      late: () => late,
    });
  } catch (error) {
    if (error === late) return { problem: late.message, final: false };
    const { message, cause } = error as Error;
    return {
      problem: `it cannot be reached (${cause instanceof Error ? cause.message : message})`,
      final: false,
    };
  }
}

async function exchange(
  url: string,
  payload: string,
  headers: PostOptions["headers"],
  signal: AbortSignal,
): Promise<Outcome> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: payload,
    signal,
  });
  const { bytes, whole } = await readAtMost(response.body, mostAnswerBytes);
  const text = bytes.toString("utf8");
  if (!response.ok) {
    const final = response.status < 500 && response.status !== 408 && response.status !== 429;
    const retryAfterMs = pauseAsked(response.headers.get("retry-after"));
    return { problem: `it answered ${response.status}: ${excerpt(text)}`, final, retryAfterMs };
  }
  if (whole) return { answer: text };
  return { problem: `its answer is longer than ${mostAnswerBytes / 2 ** 20} MiB`, final: true };
}

/** Milliseconds of a Retry-After header in seconds. Dates would need the server's clock; they count as not given. */
function pauseAsked(header: string | null): number | undefined {
  return header !== null && /^\d+$/.test(header) ? Number(header) * 1000 : undefined;
}

function parse(text: string, { what, code = "REWARD_FAILED" }: PostOptions): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TtsVarError(code, `${what} answered with something that is not JSON: ${excerpt(text)}`, {
      cause,
    });
  }
}

function failed(
  { what, code = "REWARD_FAILED" }: PostOptions,
  problem: string,
  attempts: number,
): TtsVarError {
  const times = attempts === 1 ? "" : ` (asked ${attempts} times)`;
  return new TtsVarError(
    code,
    `${what} failed: ${problem}${times}; check that the server runs and see its log`,
    {
      details: { attempts },
    },
  );
}

function excerpt(text: string): string {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length > 160 ? `${line.slice(0, 160)}...` : line || "(empty)";
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", stop, { once: true });
    function done() {
      signal.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}
