import { setMaxListeners } from "node:events";
import pLimit from "p-limit";
import type { Backend } from "../queue/backend.ts";
import type { SampleJob, SampleRecord, SampleResult } from "./sample-job.ts";
import type { SampleStore } from "./sample-store.ts";

export interface RunJobsInput {
  readonly jobs: readonly SampleJob[];
  readonly backend: Backend<SampleJob, SampleResult>;
  readonly store: SampleStore;
  readonly signal: AbortSignal;
  /** Called once per job, after its files are on disk; `seconds` is null for jobs found done. */
  onDone?(job: SampleJob, record: SampleRecord, seconds: number | null): void | Promise<void>;
}

/**
 * Does the jobs that are not done yet. The first error stops the others and is thrown; what is finished stays finished.
 *
 * @returns records in the order of the jobs
 */
export async function runJobs(input: RunJobsInput): Promise<SampleRecord[]> {
  const stop = new AbortController();
  // One listener per waiting job is meant, not a leak.
  setMaxListeners(0, stop.signal, input.signal);
  const forward = (): void => stop.abort(input.signal.reason);
  input.signal.throwIfAborted();
  input.signal.addEventListener("abort", forward, { once: true });
  const limit = pLimit(input.backend.window);

  async function perform(job: SampleJob): Promise<SampleRecord> {
    stop.signal.throwIfAborted();
    const before = await input.store.load(job);
    if (before !== null) {
      await input.onDone?.(job, before, null);
      return before;
    }
    const result = await input.backend.submit(job, stop.signal);
    await input.store.save(job, result);
    await input.onDone?.(job, result.record, result.seconds);
    return result.record;
  }

  try {
    const runs = input.jobs.map((job) => limit(() => perform(job)));
    for (const run of runs) run.catch((error) => stop.abort(error));
    const settled = await Promise.allSettled(runs);
    // The reason of the abort is the first error, or the user's interrupt; the other rejections follow from it.
    if (stop.signal.aborted) throw stop.signal.reason;
    return settled.map((outcome) => (outcome as PromiseFulfilledResult<SampleRecord>).value);
  } finally {
    input.signal.removeEventListener("abort", forward);
  }
}
