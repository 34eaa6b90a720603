import { type ErrorCode, TtsVarError } from "../core/errors.ts";

/**
 * Where jobs run. A job is plain data; its result depends on nothing else, so a backend may run it anywhere, any
 * number of times, in any order.
 */
export interface Backend<Job, Result> extends AsyncDisposable {
  /** For messages: "in this process", "2 worker processes", "Redis at ...". */
  readonly description: string;
  /** Jobs worth submitting at once. */
  readonly window: number;
  /**
   * Runs one job. A worker that dies is replaced and its job given to another one.
   *
   * @throws whatever the job's handler threw; the signal's reason when aborted
   */
  submit(job: Job, signal: AbortSignal): Promise<Result>;
}

export type JobHandler<Job, Result> = (job: Job, signal: AbortSignal) => Promise<Result>;

/** How often a job may fail for reasons that may pass (a reward server, memory) before the run stops. */
export const maxAttempts = 3;

const PASSING: readonly ErrorCode[] = ["INTERNAL", "REWARD_FAILED", "MODEL_RUNTIME"];

/** Whether trying again could help: errors of configuration, models and budgets stay. */
export function mayPass(error: unknown): boolean {
  return !(error instanceof TtsVarError) || PASSING.includes(error.code);
}

/** Calls `attempt` until it succeeds, at most `maxAttempts` times; permanent errors and aborts end it at once. */
export async function withRetries<Result>(
  attempt: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  for (let count = 1; ; count++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      if (signal.aborted || count >= maxAttempts || !mayPass(error)) throw error;
    }
  }
}
