import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { TtsVarError } from "../../core/errors.ts";
import type { SampleRunner } from "../../eval/run-sample.ts";
import { jobId, type SampleJob, type SampleResult } from "../../eval/sample-job.ts";
import type { Backend } from "../../queue/backend.ts";
import { createInProcessBackend } from "../../queue/in-process.ts";
import { parseQueueUrl } from "../../queue/queue-address.ts";
import { createWorkerPool } from "../../queue/worker-pool.ts";
import type { Progress } from "../../run/progress.ts";

export interface BackendOptions {
  /** Worker processes; 0: search in this process. Undefined: decided by the number of jobs. */
  readonly workers?: number;
  readonly queue?: string;
  readonly queueName?: string;
  readonly results: "queue" | "shared";
}

export type SampleBackend = Backend<SampleJob, SampleResult>;

/** Refuses flags that contradict each other, before anything is loaded. @throws USAGE */
export function checkBackend({ queue, queueName, results, workers }: BackendOptions): void {
  if (queue === undefined) {
    if (queueName === undefined && results === "queue") return;
    throw new TtsVarError("USAGE", "--queue-name and --results shared belong to --queue URL");
  }
  parseQueueUrl(queue);
  if (workers !== undefined) {
    throw new TtsVarError(
      "USAGE",
      "--workers counts processes of this machine; with --queue start `tts-var worker` instead",
    );
  }
}

/** Below this many searches per core, starting processes takes longer than it saves. */
const jobsWorthAProcess = 4;

/**
 * Chooses where the searches run: in a queue if asked for, otherwise one worker process per core when there is enough to
 * do, otherwise this process.
 *
 * @param out folder of the evaluation
 * @param runner used, and disposed of, by whoever searches in this process; otherwise disposed of here
 */
export async function openBackend(
  options: BackendOptions,
  jobs: number,
  out: string,
  runner: SampleRunner,
  progress: Progress,
  signal: AbortSignal,
): Promise<SampleBackend> {
  if (options.queue !== undefined) {
    await runner[Symbol.asyncDispose]();
    const { createBullmqBackend } = await import("../../queue/bullmq-backend.ts");
    return createBullmqBackend<SampleJob, SampleResult>({
      url: options.queue,
      ...(options.queueName === undefined ? {} : { name: options.queueName }),
      jobId,
      folder: options.results === "shared" ? resolve(out) : null,
      signal,
      onTrouble: (message) => progress.warn(message),
    });
  }
  const cores = availableParallelism();
  const workers = options.workers ?? (jobs >= cores * jobsWorthAProcess && cores > 1 ? cores : 0);
  if (workers > 0) {
    await runner[Symbol.asyncDispose]();
    return openWorkerPool(Math.min(workers, Math.max(jobs, 1)), progress);
  }
  return createInProcessBackend<SampleJob, SampleResult>((job, signal) => runner.run(job, { signal }), {
    concurrency: 1,
    dispose: () => runner[Symbol.asyncDispose](),
  });
}

function openWorkerPool(count: number, progress: Progress): SampleBackend {
  const fromSource = import.meta.url.endsWith(".ts");
  const entry = fileURLToPath(new URL(`./worker-entry.${fromSource ? "ts" : "js"}`, import.meta.url));
  return createWorkerPool({
    entry,
    count,
    // Sources need their loader in the child as well; compiled files need nothing.
    execArgv: fromSource ? ["--import", import.meta.resolve("tsx")] : [],
    onCrash: (message) => progress.warn(message),
  });
}
