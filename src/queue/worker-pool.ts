import { type ChildProcess, fork } from "node:child_process";
import { TtsVarError } from "../core/errors.ts";
import { fromWire } from "../core/wire-error.ts";
import { type Backend, withRetries } from "./backend.ts";
import type { FromWorker, ToWorker } from "./worker-protocol.ts";

export interface WorkerPoolOptions {
  /** Program of a worker (it calls `serveParent`), and its arguments. */
  readonly entry: string;
  readonly args?: readonly string[];
  /** Options of node itself, such as a loader. */
  readonly execArgv?: readonly string[];
  readonly count: number;
  /** Called when a worker ended unexpectedly and is being replaced. */
  onCrash?(message: string): void;
}

interface Task<Job, Result> {
  readonly job: Job;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  crashes: number;
}

/** Workers that die on the same job this often in a row are not the machine's fault. */
const maxCrashes = 5;

/** Runs jobs in worker processes, one job at a time each. Killed workers are replaced and their jobs done again. */
export function createWorkerPool<Job, Result>(options: WorkerPoolOptions): Backend<Job, Result> {
  const waiting: Task<Job, Result>[] = [];
  const running = new Map<ChildProcess, { readonly key: number; readonly task: Task<Job, Result> }>();
  const idle = new Set<ChildProcess>();
  const children = new Set<ChildProcess>();
  let closing = false;
  let nextKey = 0;
  let startFailures = 0;
  /** Why no worker can be started any more. */
  let broken: TtsVarError | null = null;

  function startWorker(): void {
    const child = fork(options.entry, [...(options.args ?? [])], {
      execArgv: [...(options.execArgv ?? [])],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    children.add(child);
    let ready = false;
    child.on("message", (message: FromWorker<Result>) => {
      if (message.type === "ready") {
        ready = true;
        startFailures = 0;
        idle.add(child);
      } else {
        const current = running.get(child);
        if (current?.key !== message.key) return;
        running.delete(child);
        idle.add(child);
        if (message.type === "done") current.task.resolve(message.result);
        else current.task.reject(fromWire(message.error));
      }
      dispatch();
    });
    child.on("error", () => undefined);
    child.on("exit", (code, signal) => {
      children.delete(child);
      idle.delete(child);
      const current = running.get(child);
      running.delete(child);
      if (closing) return;
      const how = signal === null ? `with code ${code}` : `by ${signal}`;
      options.onCrash?.(`a worker process ended ${how}; it is being replaced`);
      if (current) retry(current.task, how);
      if (!ready && ++startFailures >= maxCrashes) {
        broken = new TtsVarError("INTERNAL", `worker processes end ${how} before they are ready`);
        for (const task of waiting.splice(0)) task.reject(broken);
      } else startWorker();
    });
  }

  function retry(task: Task<Job, Result>, how: string): void {
    task.crashes++;
    if (task.crashes < maxCrashes) waiting.unshift(task);
    else {
      task.reject(
        new TtsVarError("INTERNAL", `${maxCrashes} worker processes in a row ended ${how} on the same job`),
      );
    }
  }

  function dispatch(): void {
    for (const child of idle) {
      const task = waiting.shift();
      if (!task) return;
      idle.delete(child);
      const key = nextKey++;
      running.set(child, { key, task });
      child.send({ type: "job", key, job: task.job } satisfies ToWorker<Job>, () => undefined);
    }
  }

  function enqueue(job: Job, signal: AbortSignal): Promise<Result> {
    if (broken) return Promise.reject(broken);
    let onAbort: (() => void) | undefined;
    return new Promise<Result>((resolve, reject) => {
      onAbort = () => reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      waiting.push({ job, resolve, reject, crashes: 0 });
      dispatch();
    }).finally(() => signal.removeEventListener("abort", onAbort!));
  }

  for (let index = 0; index < options.count; index++) startWorker();
  return {
    description: options.count === 1 ? "1 worker process" : `${options.count} worker processes`,
    window: options.count * 2,
    submit: (job, signal) => withRetries(() => enqueue(job, signal), signal),
    async [Symbol.asyncDispose]() {
      closing = true;
      const ended = [...children].map(
        (child) => new Promise<void>((resolve) => child.once("exit", () => resolve())),
      );
      for (const child of children) {
        if (child.connected) child.disconnect();
        else child.kill("SIGKILL");
      }
      const patience = setTimeout(() => {
        for (const child of children) child.kill("SIGKILL");
      }, 3000);
      await Promise.all(ended);
      clearTimeout(patience);
    },
  };
}
