import { createInterface } from "node:readline";
import type { Worker } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import type { PluginHost } from "../core/plugin.ts";
import { Calls, type Reply } from "../threads/calls.ts";
import { siblingModule, startThread } from "../threads/start-thread.ts";
import { moduleTimeoutMs, type PluginProvenance } from "./load-module.ts";

/** Milliseconds that a user's plug-in may take per call when it names no limit. */
export const callTimeoutMs = 60_000;
const disposeTimeoutMs = 5_000;

/** Kinds of plug-ins that run in threads of their own. */
export type ThreadKind = "reward" | "features";

/** What a plug-in's thread is started with. */
export interface ThreadSetup {
  readonly kind: ThreadKind;
  readonly spec: string;
  readonly options: unknown;
  readonly baseDir: string;
  readonly allowDownload: boolean;
}

/** What a plug-in's thread tells of the plug-in once it is loaded. */
export interface Ready {
  readonly traits: unknown;
  readonly provenance: PluginProvenance;
}

export type ToThread =
  | { readonly type: "load"; readonly id: number }
  | { readonly type: "call"; readonly id: number; readonly input: unknown }
  | { readonly type: "dispose" };

export type FromThread =
  | ({ readonly type: "reply" } & Reply)
  | { readonly type: "log"; readonly level: "debug" | "info" | "warn"; readonly message: string };

/**
 * A user's plug-in in a thread of its own. An endless loop, `process.exit` or a print to stdout in it can then neither
 * stop this process nor spoil its output, and its work overlaps generation.
 */
export class PluginThread {
  readonly #worker: Worker;
  readonly #calls: Calls;
  readonly #kind: ThreadKind;
  readonly #what: string;
  readonly #exited: Promise<void>;
  #loaded = false;

  constructor(setup: ThreadSetup, log: PluginHost["log"]) {
    this.#kind = setup.kind;
    this.#what = `${setup.kind} plug-in ${setup.spec}`;
    this.#worker = startThread(siblingModule(import.meta.url, "./plugin-entry"), {
      name: `tts-var ${setup.spec}`,
      workerData: setup,
      stdout: true,
      stderr: true,
    });
    this.#calls = new Calls(this.#worker);
    for (const stream of [this.#worker.stdout, this.#worker.stderr]) {
      createInterface({ input: stream }).on("line", (line) => log("info", `${setup.spec}: ${line}`));
    }
    this.#worker.on("message", (message: FromThread) => {
      if (message.type === "log") log(message.level, message.message);
      else this.#calls.settle(message);
    });
    this.#worker.on("error", (cause: NodeJS.ErrnoException) => this.#end(breakdown(cause), cause));
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#end(`ended its thread (exit code ${code}); a plug-in must not call process.exit`);
        resolve();
      });
    });
  }

  /** @throws PLUGIN_INVALID, CONFIG_INVALID when it cannot be loaded; the thread has ended then */
  async ready(): Promise<Ready> {
    const seconds = moduleTimeoutMs / 1000;
    const timer = setTimeout(() => {
      this.#end(`did not finish loading within ${seconds} s; remove what its top level waits for`);
    }, moduleTimeoutMs);
    try {
      const ready = (await this.#calls.ask({ type: "load" })) as Ready;
      this.#loaded = true;
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
    const stop = (): void => {
      this.#end("was stopped because it did not answer in time");
      void this.#worker.terminate();
    };
    const answer = this.#calls.ask({ type: "call", input }, { signal, ...(about !== null && { about }) });
    // After the call's own listener, so that the call that was given up ends with the signal's reason.
    if (!signal.aborted) signal.addEventListener("abort", stop, { once: true });
    return answer.finally(() => signal.removeEventListener("abort", stop));
  }

  async dispose(): Promise<void> {
    if (!this.#calls.ended) {
      this.#end("is closed");
      this.#worker.ref();
      this.#worker.postMessage({ type: "dispose" } satisfies ToThread);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, disposeTimeoutMs);
      });
      await Promise.race([this.#exited, late]).finally(() => clearTimeout(timer));
    }
    await this.#worker.terminate();
  }

  #end(problem: string, cause?: Error): void {
    const used = this.#kind === "reward" ? "REWARD_FAILED" : "MODEL_RUNTIME";
    const code = this.#loaded ? used : "PLUGIN_INVALID";
    this.#calls.end((about) => {
      const text = `${this.#what} ${problem}${about === undefined ? "" : ` (${about})`}`;
      return new TtsVarError(code, text, { cause });
    });
  }
}

function breakdown({ code, message }: NodeJS.ErrnoException): string {
  return code === "ERR_WORKER_OUT_OF_MEMORY"
    ? "ran out of memory; make it smaller, or give it a smaller maxBatch"
    : `broke down: ${message}; no one waited for what failed there, so await what it starts`;
}
