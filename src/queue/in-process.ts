import pLimit from "p-limit";
import { type Backend, type JobHandler, withRetries } from "./backend.ts";

/** Runs jobs in this process, `concurrency` at a time. */
export function createInProcessBackend<Job, Result>(
  handler: JobHandler<Job, Result>,
  options: { readonly concurrency: number; dispose(): Promise<void> },
): Backend<Job, Result> {
  const limit = pLimit(options.concurrency);
  return {
    description: "in this process",
    window: options.concurrency,
    submit: (job, signal) => limit(() => withRetries(() => handler(job, signal), signal)),
    async [Symbol.asyncDispose]() {
      limit.clearQueue();
      await options.dispose();
    },
  };
}
