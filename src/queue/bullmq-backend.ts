import { setTimeout as sleep } from "node:timers/promises";
import { TtsVarError } from "../core/errors.ts";
import { fromWire, type WireError } from "../core/wire-error.ts";
import { type Backend, maxAttempts } from "./backend.ts";
import { defaultQueueName, type QueuedJob } from "./bullmq.ts";
import { isLostConnection, openQueueServer } from "./queue-server.ts";

export interface BullmqBackendOptions<Job> {
  readonly url: string;
  readonly name?: string;
  /** Identity of a job by its content; equal jobs of several coordinators run once. */
  jobId(job: Job): string;
  /** Folder that all workers share with this machine, or null to carry results by the queue. */
  readonly folder: string | null;
  /** Seconds without the server before the run stops (it can be resumed). */
  readonly patienceSeconds?: number;
  /** Ends the wait for a server that is not there yet. */
  readonly signal?: AbortSignal;
  onTrouble?(message: string): void;
}

interface Pending<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Jobs kept in the queue at once: enough to feed many workers, few enough to bound its memory. */
const queueWindow = 64;
const pollMilliseconds = 1000;
/** Without a finished job for so long, it is worth looking whether anybody works on them. */
const quietMilliseconds = 20_000;

/**
 * Runs jobs on workers that serve a BullMQ queue in Redis or PostgreSQL. The server holds nothing that cannot be made
 * again: events tell of finished jobs, and a poll finds what events missed, puts back jobs that a restarted server has
 * forgotten and adds those that did not reach it.
 *
 * @throws USAGE for a bad URL, missing packages or a database that refuses; EVAL_PARTIAL when it does not answer
 */
export async function createBullmqBackend<Job, Result>(
  options: BullmqBackendOptions<Job>,
): Promise<Backend<Job, Result>> {
  const name = options.name ?? defaultQueueName;
  const patienceSeconds = options.patienceSeconds ?? 60;
  const patience = patienceSeconds * 1000;
  const { bullmq, label, connection, connect } = await openQueueServer(options.url, {
    patienceSeconds,
    ...(options.signal ? { signal: options.signal } : {}),
    onTrouble: (error) => options.onTrouble?.(error.message),
  });
  const { Queue, QueueEvents } = bullmq;
  // Events repeat results; a short history keeps images from piling up in the server.
  const streams = { events: { maxLen: 2 * queueWindow } };
  const queue = new Queue<QueuedJob, string>(name, { connection, streams }, await connect());
  const backendOfEvents = await connect().catch(async (error) => {
    await queue.disconnect();
    throw error;
  });
  const events = new QueueEvents(name, { connection, autorun: false }, backendOfEvents);
  const pending = new Map<string, Pending<Job, Result>>();
  let closing = false;
  let lastAnswer = performance.now();
  let reported = false;
  let lastFinished = performance.now();
  let quietTold = false;

  /** Tells of a lost server once, not at every attempt to reach it. */
  const onError = (error: Error): void => {
    if (!closing && !reported) options.onTrouble?.(`${label}: ${error.message || "no connection"}`);
    reported = true;
  };
  queue.on("error", onError);
  events.on("error", () => undefined);
  events.on("completed", ({ jobId }) => void settle(jobId).catch(() => undefined));
  events.on("failed", ({ jobId }) => void settle(jobId).catch(() => undefined));

  // PostgreSQL ends the stream of events when it goes away; Redis waits by itself.
  void (async () => {
    while (!closing) {
      await events.run().catch(() => undefined);
      if (!closing) await sleep(pollMilliseconds, undefined, { ref: false });
    }
  })();

  /** Looks at a job in the queue: hands over its result, or puts it (back) into the queue. */
  async function settle(id: string): Promise<void> {
    if (!pending.has(id)) return;
    const stored = await queue.getJob(id);
    const task = pending.get(id);
    if (!task) return;
    if (!stored) {
      await add(id, task.job);
    } else if (stored.finishedOn !== undefined) {
      // What failed at first and then succeeded keeps the reason of its failure: a result is what tells.
      const done = typeof stored.returnvalue === "string";
      if (!done && !(await stored.isFailed())) return;
      pending.delete(id);
      lastFinished = performance.now();
      quietTold = false;
      if (done) task.resolve(JSON.parse(stored.returnvalue) as Result);
      else task.reject(failureOf(stored.failedReason ?? ""));
      await stored.remove().catch(() => undefined);
    }
  }

  async function add(id: string, job: Job): Promise<void> {
    await queue.add(
      "sample",
      { job: JSON.stringify(job), folder: options.folder },
      {
        jobId: id,
        attempts: maxAttempts,
        // What no coordinator collects, because it was killed for good, disappears by itself.
        removeOnComplete: { age: 24 * 3600 },
        removeOnFail: { age: 24 * 3600 },
      },
    );
  }

  // The next poll begins only after the last one was answered, however long the server was away.
  let polling: Promise<void> | null = null;
  async function poll(): Promise<void> {
    try {
      await Promise.all([...pending.keys()].map(settle));
      lastAnswer = performance.now();
      reported = false;
      await tellOfQuiet();
    } catch (error) {
      onError(error as Error);
    } finally {
      polling = null;
    }
  }

  /** Says once that the server answers, but nobody does the jobs. */
  async function tellOfQuiet(): Promise<void> {
    if (quietTold || performance.now() - lastFinished < quietMilliseconds) return;
    const { active = 0, waiting = 0 } = await queue.getJobCounts("active", "waiting");
    // Some servers do not say who is connected.
    const workers = await queue.getWorkersCount().catch(() => null);
    if (active > 0 && workers !== 0) return;
    quietTold = true;
    const taken = `${active} of ${active + waiting} jobs in queue "${name}" are taken`;
    const who = workers === null ? "" : `, ${workers} workers are there`;
    options.onTrouble?.(
      `${label}: nothing has been finished for ${quietMilliseconds / 1000} s; ${taken}${who}: start \`tts-var worker\` for this queue`,
    );
  }

  const timer = setInterval(() => {
    if (pending.size === 0) {
      lastAnswer = performance.now();
      lastFinished = lastAnswer;
      return;
    }
    if (performance.now() - lastAnswer > patience) {
      const message = `${label} has not answered for ${patienceSeconds} s; start it and run the same command again: finished images are kept`;
      for (const [id, task] of pending) {
        pending.delete(id);
        task.reject(new TtsVarError("EVAL_PARTIAL", message));
      }
    }
    polling ??= poll();
  }, pollMilliseconds);

  async function submit(job: Job, signal: AbortSignal): Promise<Result> {
    const id = options.jobId(job);
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Result>((resolve, reject) => {
        onAbort = () => reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        pending.set(id, { job, resolve, reject });
        // What a lost server did not take stays pending: the poll tries again as long as patience lasts.
        enqueue(id, job).catch((error) => (isLostConnection(error) ? onError(error) : reject(error)));
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
    description: `${label}, queue "${name}"`,
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
