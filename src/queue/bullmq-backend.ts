import { TtsVarError } from "../core/errors.ts";
import { fromWire, type WireError } from "../core/wire-error.ts";
import { type Backend, maxAttempts } from "./backend.ts";
import { connectionTo, defaultQueueName, loadBullmq, type QueuedJob } from "./bullmq.ts";
import { parseRedisUrl } from "./redis-url.ts";

export interface BullmqBackendOptions<Job> {
  readonly url: string;
  readonly name?: string;
  /** Identity of a job by its content; equal jobs of several coordinators run once. */
  jobId(job: Job): string;
  /** Folder that all workers share with this machine, or null to carry results by the queue. */
  readonly folder: string | null;
  /** Seconds without Redis before the run stops (it can be resumed). */
  readonly patienceSeconds?: number;
  onTrouble?(message: string): void;
}

interface Pending<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Jobs kept in Redis at once: enough to feed many workers, few enough to bound its memory. */
const queueWindow = 64;
const pollMilliseconds = 1000;

/**
 * Runs jobs on workers that serve a BullMQ queue. Redis holds nothing that cannot be made again: events tell of finished
 * jobs, and a poll finds what events missed and puts back jobs that a restarted Redis has forgotten.
 *
 * @throws USAGE for a bad URL or missing packages
 */
export async function createBullmqBackend<Job, Result>(
  options: BullmqBackendOptions<Job>,
): Promise<Backend<Job, Result>> {
  const address = parseRedisUrl(options.url);
  const { Queue, QueueEvents } = await loadBullmq();
  const name = options.name ?? defaultQueueName;
  const patience = (options.patienceSeconds ?? 60) * 1000;
  const queue = new Queue<QueuedJob<Job>, Result>(name, {
    connection: connectionTo(address),
    // Events repeat results; a short history keeps images from piling up in Redis.
    streams: { events: { maxLen: 2 * queueWindow } },
  });
  const events = new QueueEvents(name, { connection: connectionTo(address) });
  const pending = new Map<string, Pending<Job, Result>>();
  let closing = false;
  let silentFor = 0;

  const onError = (error: Error): void => {
    if (!closing && silentFor === 0)
      options.onTrouble?.(`Redis at ${address.host}:${address.port}: ${error.message || "no connection"}`);
  };
  queue.on("error", onError);
  events.on("error", () => undefined);
  events.on("completed", ({ jobId }) => void settle(jobId).catch(() => undefined));
  events.on("failed", ({ jobId }) => void settle(jobId).catch(() => undefined));

  /** Looks at a job in Redis: hands over its result, or puts it (back) into the queue. */
  async function settle(id: string): Promise<void> {
    if (!pending.has(id)) return;
    const stored = await queue.getJob(id);
    const task = pending.get(id);
    if (!task) return;
    if (!stored) {
      await add(id, task.job);
    } else if (stored.finishedOn !== undefined && stored.failedReason === undefined) {
      pending.delete(id);
      task.resolve(stored.returnvalue);
      await stored.remove().catch(() => undefined);
    } else if (await stored.isFailed()) {
      pending.delete(id);
      task.reject(failureOf(stored.failedReason ?? ""));
      await stored.remove().catch(() => undefined);
    }
  }

  async function add(id: string, job: Job): Promise<void> {
    await queue.add(
      "sample",
      { job, folder: options.folder },
      {
        jobId: id,
        attempts: maxAttempts,
        // What no coordinator collects, because it was killed for good, disappears by itself.
        removeOnComplete: { age: 24 * 3600 },
        removeOnFail: { age: 24 * 3600 },
      },
    );
  }

  let polling: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    if (pending.size === 0) return;
    silentFor += pollMilliseconds;
    if (silentFor > patience) {
      const message = `Redis at ${address.host}:${address.port} has not answered for ${patience / 1000} s; start it and run the same command again: finished images are kept`;
      for (const [id, task] of pending) {
        pending.delete(id);
        task.reject(new TtsVarError("EVAL_PARTIAL", message));
      }
    }
    // The next poll begins only after the last one was answered, however long Redis was away.
    if (silentFor === pollMilliseconds) {
      polling = Promise.all([...pending.keys()].map(settle)).then(
        () => {
          silentFor = 0;
        },
        () => {
          silentFor = Math.max(silentFor - pollMilliseconds, 0);
        },
      );
    }
  }, pollMilliseconds);

  async function submit(job: Job, signal: AbortSignal): Promise<Result> {
    const id = options.jobId(job);
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Result>((resolve, reject) => {
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        pending.set(id, { job, resolve, reject });
        enqueue(id, job).catch(reject);
      });
    } finally {
      signal.removeEventListener("abort", onAbort!);
      pending.delete(id);
    }
  }

  /** Adds a job; a failure of an earlier run is no reason not to try again. */
  async function enqueue(id: string, job: Job): Promise<void> {
    const earlier = await queue.getJob(id);
    if (earlier && (await earlier.isFailed())) await earlier.remove();
    await add(id, job);
    await settle(id);
  }

  return {
    description: `Redis at ${address.host}:${address.port}, queue "${name}"`,
    window: queueWindow,
    submit,
    async [Symbol.asyncDispose]() {
      closing = true;
      clearInterval(timer);
      await Promise.race([polling, new Promise((resolve) => setTimeout(resolve, 200))]);
      const close = Promise.allSettled([queue.close(), events.close()]);
      // Closing waits for a lost server; the program must not.
      await Promise.race([close, new Promise((resolve) => setTimeout(resolve, 1000))]);
      await Promise.allSettled([queue.disconnect(), events.disconnect()]);
    },
  };
}

function failureOf(reason: string): Error {
  try {
    return fromWire(JSON.parse(reason) as WireError);
  } catch {
    return new TtsVarError("INTERNAL", `a worker of the queue failed: ${reason}`);
  }
}
