import { setTimeout as sleep } from "node:timers/promises";
import { toWire } from "../core/wire-error.ts";
import { mayPass } from "./backend.ts";
import { openQueueServer } from "./queue-server.ts";

/** Name of the queue when none is given. Coordinators and workers must use the same one. */
export const defaultQueueName = "tts-var";

/**
 * What a job in the queue carries: the job itself, and the shared folder to write to (null: send the result back). Job
 * and result travel as text, since PostgreSQL does not keep the order of an object's keys.
 */
export interface QueuedJob {
  readonly job: string;
  readonly folder: string | null;
}

export interface QueueWorkerOptions {
  readonly url: string;
  readonly name?: string;
  /** Seconds after which the job of a silent worker is given to another one. */
  readonly lockSeconds?: number;
  /** Ends the wait for a server that is not there yet. */
  readonly signal?: AbortSignal;
  onError(error: Error): void;
  onDone?(): void;
}

/** A worker of the queue. Disposing of it stops the running job, which goes back into the queue. */
export interface QueueWorker extends AsyncDisposable {
  readonly name: string;
  /** The server, without password. */
  readonly label: string;
}

/**
 * Serves jobs of a queue, one at a time, until disposed of. Errors that would come again (configuration, models,
 * budget) fail the job at once, others after `maxAttempts`.
 *
 * @throws USAGE for a bad URL, missing packages or a database that refuses
 */
export async function serveQueue<Job, Result>(
  handler: (
    job: Job,
    options: { readonly signal: AbortSignal; readonly folder: string | null },
  ) => Promise<Result>,
  options: QueueWorkerOptions,
): Promise<QueueWorker> {
  const { bullmq, label, connection, connect } = await openQueueServer(options.url, {
    // A worker waits for its coordinator's server as long as it takes.
    patienceSeconds: Number.POSITIVE_INFINITY,
    ...(options.signal ? { signal: options.signal } : {}),
    onTrouble: options.onError,
  });
  const { Worker, UnrecoverableError, WaitingError } = bullmq;
  const abort = new AbortController();
  const lock = (options.lockSeconds ?? 20) * 1000;
  const name = options.name ?? defaultQueueName;
  const backend = await connect();
  /** The running job, if any. */
  let job: Promise<unknown> = Promise.resolve();
  const worker = new Worker<QueuedJob, string>(
    name,
    async (taken, token) => {
      const { data } = taken;
      try {
        const running = handler(JSON.parse(data.job) as Job, { signal: abort.signal, folder: data.folder });
        job = running.catch(() => undefined);
        return JSON.stringify(await running);
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
      runRetryDelay: 1000,
    },
    backend,
  );
  worker.on("error", (error) => options.onError(error));
  worker.on("completed", () => options.onDone?.());
  return {
    name,
    label,
    async [Symbol.asyncDispose]() {
      // The running job is stopped and goes back into the queue.
      abort.abort();
      const closed = worker.close().catch(() => undefined);
      await job;
      // Closing waits for a lost server; the program must not.
      await Promise.race([closed, sleep(1000, undefined, { ref: false })]);
      await Promise.race([
        worker.disconnect().catch(() => undefined),
        sleep(1000, undefined, { ref: false }),
      ]);
    },
  };
}
