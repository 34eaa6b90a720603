import { toWire, type WireError } from "../core/wire-error.ts";
import type { JobHandler } from "./backend.ts";

/** What the parent sends to a worker process, and what comes back. */
export type ToWorker<Job> = { readonly type: "job"; readonly key: number; readonly job: Job };
export type FromWorker<Result> =
  | { readonly type: "ready" }
  | { readonly type: "done"; readonly key: number; readonly result: Result }
  | { readonly type: "failed"; readonly key: number; readonly error: WireError };

/**
 * Serves jobs of the parent process over the IPC channel, one at a time, until the channel closes. A worker whose
 * parent was killed ends by itself, because the channel closes with it.
 */
export async function serveParent<Job, Result>(handler: JobHandler<Job, Result>): Promise<void> {
  const channel = process;
  if (!channel.send) throw new Error("a worker process must be started by its coordinator");
  const abort = new AbortController();
  const send = (message: FromWorker<Result>): void => {
    if (channel.connected) channel.send?.(message, () => undefined);
  };
  const closed = new Promise<void>((resolve) => {
    channel.once("disconnect", () => {
      abort.abort(new Error("the coordinator is gone"));
      resolve();
    });
  });
  let last: Promise<void> = Promise.resolve();
  channel.on("message", ({ key, job }: ToWorker<Job>) => {
    last = last.then(async () => {
      if (abort.signal.aborted) return;
      try {
        send({ type: "done", key, result: await handler(job, abort.signal) });
      } catch (error) {
        send({ type: "failed", key, error: toWire(error) });
      }
    });
  });
  send({ type: "ready" });
  await closed;
}
