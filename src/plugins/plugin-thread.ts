import { createInterface } from "node:readline";
import type { Worker } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import type { PluginHost } from "../core/plugin.ts";
import { fromWire } from "../core/wire-error.ts";
import { siblingModule, startThread } from "../threads/start-thread.ts";
import { moduleTimeoutMs, type PluginProvenance } from "./load-module.ts";
import type { FromThread, ThreadSetup, ToThread } from "./thread-protocol.ts";

/** Milliseconds that a user's plug-in may take per call when it names no limit. */
export const callTimeoutMs = 60_000;
const disposeTimeoutMs = 5_000;

export interface Ready {
  readonly traits: unknown;
  readonly provenance: PluginProvenance;
}

interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/**
 * A user's plug-in in a thread of its own. An endless loop, `process.exit` or a print to stdout in it can then neither
 * stop this process nor spoil its output, and its work overlaps generation.
 */
export class PluginThread {
  readonly #worker: Worker;
  readonly #kind: ThreadSetup["kind"];
  readonly #what: string;
  readonly #pending = new Map<number, Deferred<unknown> & { readonly about: string | null }>();
  readonly #ready = deferred<Ready>();
  readonly #exited: Promise<void>;
  #calls = 0;
  #dead: Error | null = null;

  constructor(setup: ThreadSetup, log: PluginHost["log"]) {
    this.#kind = setup.kind;
    this.#what = `${setup.kind} plug-in ${setup.spec}`;
    this.#worker = startThread(siblingModule(import.meta.url, "./plugin-entry"), {
      name: `tts-var ${setup.spec}`,
      workerData: setup,
      stdout: true,
      stderr: true,
    });
    for (const stream of [this.#worker.stdout, this.#worker.stderr]) {
      createInterface({ input: stream }).on("line", (line) => log("info", `${setup.spec}: ${line}`));
    }
    this.#worker.on("message", (message: FromThread) => {
      if (message.type === "log") log(message.level, message.message);
      else this.#receive(message);
    });
    this.#worker.on("error", (cause: NodeJS.ErrnoException) => this.#fail(breakdown(cause), cause));
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#fail(`ended its thread (exit code ${code}); a plug-in must not call process.exit`);
        resolve();
      });
    });
  }

  /** @throws PLUGIN_INVALID, CONFIG_INVALID when it cannot be loaded; the thread has ended then */
  async ready(): Promise<Ready> {
    const timer = setTimeout(() => {
      this.#fail(
        `did not finish loading within ${moduleTimeoutMs / 1000} s; remove what its top level waits for`,
      );
    }, moduleTimeoutMs);
    try {
      const ready = await this.#ready.promise;
      this.#worker.unref();
      return ready;
    } catch (error) {
      await this.#worker.terminate();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * One call of the plug-in.
   *
   * @param about  what it is asked about, for messages: `candidates c0, c1`; null if the caller says so
   * @param signal ends the thread when it fires: code that does not answer can only be stopped so
   * @throws the plug-in's own error; REWARD_FAILED or MODEL_RUNTIME when its thread ended
   */
  async call(input: unknown, about: string | null, signal: AbortSignal): Promise<unknown> {
    if (this.#dead) throw this.#dead;
    signal.throwIfAborted();
    const id = ++this.#calls;
    const pending = { ...deferred<unknown>(), about };
    this.#pending.set(id, pending);
    this.#worker.ref();
    const onAbort = (): void => {
      pending.reject(signal.reason);
      this.#fail("was stopped because it did not answer in time");
      void this.#worker.terminate();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#post({ type: "call", id, input });
    return pending.promise.finally(() => {
      signal.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
    });
  }

  async dispose(): Promise<void> {
    if (!this.#dead) {
      this.#dead = this.#error("is closed");
      this.#worker.ref();
      this.#post({ type: "dispose" });
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, disposeTimeoutMs);
      });
      await Promise.race([this.#exited, late]).finally(() => clearTimeout(timer));
    }
    await this.#worker.terminate();
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  #receive(message: Exclude<FromThread, { type: "log" }>): void {
    if (message.type === "ready") this.#ready.resolve(message);
    else if (message.type === "refused") this.#ready.reject(fromWire(message.error));
    else if (message.type === "failed") this.#pending.get(message.id)?.reject(fromWire(message.error));
    else this.#pending.get(message.id)?.resolve(message.output);
  }

  #fail(problem: string, cause?: Error): void {
    this.#ready.reject(new TtsVarError("PLUGIN_INVALID", `${this.#what} ${problem}`, { cause }));
    this.#ready.promise.catch(() => undefined);
    this.#dead ??= this.#error(problem, cause);
    for (const { reject, about } of this.#pending.values()) {
      reject(this.#error(about === null ? problem : `${problem} (${about})`, cause));
    }
  }

  #error(problem: string, cause?: Error): TtsVarError {
    const code = this.#kind === "reward" ? "REWARD_FAILED" : "MODEL_RUNTIME";
    return new TtsVarError(code, `${this.#what} ${problem}`, { cause });
  }
}

function breakdown({ code, message }: NodeJS.ErrnoException): string {
  return code === "ERR_WORKER_OUT_OF_MEMORY"
    ? "ran out of memory; make it smaller, or give it a smaller maxBatch"
    : `broke down: ${message}; no one waited for what failed there, so await what it starts`;
}
