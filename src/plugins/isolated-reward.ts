import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { Reward, RewardContext, RewardItem, RewardScores } from "../core/reward.ts";
import { type LoadedPlugin, moduleTimeoutMs } from "./load-module.ts";
import { errorOf, type FromThread, type ThreadSetup, type ToThread } from "./thread-protocol.ts";

/** Milliseconds that a user's reward may take per call when it names no limit. */
const defaultTimeoutMs = 60_000;
const disposeTimeoutMs = 5_000;

/**
 * Loads a user's reward into a thread of its own. An endless loop, `process.exit` or a print to stdout in it can then
 * neither stop this process nor spoil its output, and scoring overlaps generation.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID
 */
export async function isolatedReward(
  setup: ThreadSetup & Pick<PluginHost, "log">,
): Promise<LoadedPlugin<Reward>> {
  const { log, ...data } = setup;
  const thread = new PluginThread(data, log);
  const { traits, provenance } = await thread.ready();
  const value: Reward = {
    ...traits,
    timeoutMs: traits.timeoutMs ?? defaultTimeoutMs,
    score: (batch, context) => thread.score(batch, context),
    [Symbol.asyncDispose]: () => thread.dispose(),
  };
  return { value, provenance };
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

class PluginThread {
  readonly #worker: Worker;
  readonly #what: string;
  readonly #pending = new Map<number, Deferred<RewardScores> & { readonly ids: readonly string[] }>();
  readonly #ready = deferred<Extract<FromThread, { type: "ready" }>>();
  readonly #exited: Promise<void>;
  #calls = 0;
  #dead: Error | null = null;

  constructor(setup: ThreadSetup, log: PluginHost["log"]) {
    this.#what = `reward plug-in ${setup.spec}`;
    this.#worker = startWorker(setup);
    for (const stream of [this.#worker.stdout, this.#worker.stderr]) {
      createInterface({ input: stream }).on("line", (line) => log("info", `${setup.spec}: ${line}`));
    }
    this.#worker.on("message", (message: FromThread) => {
      if (message.type === "log") log(message.level, message.message);
      else this.#receive(message);
    });
    this.#worker.on("error", (cause: Error) => this.#fail(`broke down: ${cause.message}`, cause));
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        this.#fail(`ended its thread (exit code ${code}); a reward must not call process.exit`);
        resolve();
      });
    });
  }

  async ready(): Promise<Extract<FromThread, { type: "ready" }>> {
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

  async score(batch: readonly RewardItem[], context: RewardContext): Promise<RewardScores> {
    if (this.#dead) throw this.#dead;
    const { signal, stage, seed } = context;
    signal.throwIfAborted();
    const id = ++this.#calls;
    const pending = { ...deferred<RewardScores>(), ids: batch.map((item) => item.id) };
    this.#pending.set(id, pending);
    this.#worker.ref();
    // Code that does not answer in time can only be stopped with its thread.
    const onAbort = (): void => {
      pending.reject(signal.reason);
      this.#fail("was stopped because it did not answer in time");
      void this.#worker.terminate();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#post({ type: "score", id, batch, stage, seed });
    return pending.promise.finally(() => {
      signal.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) this.#worker.unref();
    });
  }

  async dispose(): Promise<void> {
    if (!this.#dead) {
      this.#dead = new TtsVarError("REWARD_FAILED", `${this.#what} is closed`);
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
    else if (message.type === "refused") this.#ready.reject(errorOf(message.error));
    else if (message.type === "failed") this.#pending.get(message.id)?.reject(errorOf(message.error));
    else {
      const { scores, details } = message;
      this.#pending.get(message.id)?.resolve({ scores, ...(details && { details }) });
    }
  }

  #fail(problem: string, cause?: Error): void {
    this.#ready.reject(new TtsVarError("PLUGIN_INVALID", `${this.#what} ${problem}`, { cause }));
    this.#ready.promise.catch(() => undefined);
    this.#dead ??= new TtsVarError("REWARD_FAILED", `${this.#what} ${problem}`, { cause });
    for (const { reject, ids } of this.#pending.values()) {
      reject(
        new TtsVarError("REWARD_FAILED", `${this.#dead.message} (candidates ${ids.join(", ")})`, { cause }),
      );
    }
  }
}

function startWorker(workerData: ThreadSetup): Worker {
  const options = {
    name: `tts-var ${workerData.spec}`,
    workerData,
    execArgv: [],
    stdout: true,
    stderr: true,
  };
  if (import.meta.url.endsWith(".js"))
    return new Worker(new URL("./reward-thread.js", import.meta.url), options);
  // Node 20 cannot load TypeScript by itself; from source, the thread registers the loader that the tools use.
  const loader = createRequire(import.meta.url)
    .resolve("tsx/esm/api")
    .replace(/\.cjs$/, ".mjs");
  const entry = new URL("./reward-thread.ts", import.meta.url);
  const code = `import(${JSON.stringify(pathToFileURL(loader).href)}).then(({ register }) => {
    register();
    return import(${JSON.stringify(entry.href)});
  })`;
  return new Worker(code, { ...options, eval: true });
}
