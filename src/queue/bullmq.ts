import type { ConnectionOptions } from "bullmq";
import { TtsVarError } from "../core/errors.ts";
import { toWire } from "../core/wire-error.ts";
import { mayPass } from "./backend.ts";
import { parseRedisUrl, type RedisAddress } from "./redis-url.ts";

/** Name of the queue when none is given. Coordinators and workers must use the same one. */
export const defaultQueueName = "tts-var";

/** What a job in Redis carries: the job itself, and the shared folder to write to (null: send the result back). */
export interface QueuedJob<Job> {
  readonly job: Job;
  readonly folder: string | null;
}

/**
 * Loads BullMQ, an optional dependency.
 *
 * @throws USAGE with the command that installs it
 */
export async function loadBullmq(): Promise<typeof import("bullmq")> {
  try {
    await import("ioredis");
    return await import("bullmq");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new TtsVarError(
      "USAGE",
      "--queue needs two optional packages; install them with: npm install bullmq ioredis",
      {
        cause: error,
      },
    );
  }
}

/** Commands wait for a lost server to come back instead of failing; how long is the caller's decision. */
export function connectionTo(address: RedisAddress): ConnectionOptions {
  const retryStrategy = (attempt: number): number => Math.min(100 * attempt, 1000);
  return { ...address, maxRetriesPerRequest: null, retryStrategy };
}

export interface QueueWorkerOptions {
  readonly url: string;
  readonly name?: string;
  /** Seconds after which the job of a silent worker is given to another one. */
  readonly lockSeconds?: number;
  onError(error: Error): void;
  onDone?(): void;
}

/** A worker of the queue. Disposing of it stops the running job, which goes back into the queue. */
export interface QueueWorker extends AsyncDisposable {
  readonly name: string;
}

/**
 * Serves jobs from Redis, one at a time, until disposed of. Errors that would come again (configuration, models,
 * budget) fail the job at once, others after `maxAttempts`.
 *
 * @throws USAGE for a bad URL or missing packages
 */
export async function serveQueue<Job, Result>(
  handler: (
    job: Job,
    options: { readonly signal: AbortSignal; readonly folder: string | null },
  ) => Promise<Result>,
  options: QueueWorkerOptions,
): Promise<QueueWorker> {
  const connection = connectionTo(parseRedisUrl(options.url));
  const { Worker, UnrecoverableError, WaitingError } = await loadBullmq();
  const abort = new AbortController();
  const lock = (options.lockSeconds ?? 20) * 1000;
  const name = options.name ?? defaultQueueName;
  const worker = new Worker<QueuedJob<Job>, Result>(
    name,
    async (taken, token) => {
      const { data } = taken;
      try {
        return await handler(data.job, { signal: abort.signal, folder: data.folder });
      } catch (error) {
        if (abort.signal.aborted) {
          // Given back at once, so that another worker need not wait until this one counts as dead.
          await taken.moveToWait(token);
          throw new WaitingError();
        }
        const message = JSON.stringify(toWire(error));
        throw mayPass(error) ? new Error(message) : new UnrecoverableError(message);
      }
    },
    {
      connection,
      concurrency: 1,
      lockDuration: lock,
      stalledInterval: lock / 2,
      // A job is repeated as often as its workers are killed; only its own errors count as attempts.
      maxStalledCount: 1000,
    },
  );
  worker.on("error", (error) => options.onError(error));
  worker.on("completed", () => options.onDone?.());
  return {
    name,
    async [Symbol.asyncDispose]() {
      abort.abort();
      await worker.close();
    },
  };
}
