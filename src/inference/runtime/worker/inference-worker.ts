import type { Worker } from "node:worker_threads";
import { TtsVarError } from "../../../core/errors.ts";
import { Calls, type Reply } from "../../../threads/calls.ts";
import { siblingModule, startThread } from "../../../threads/start-thread.ts";
import type { Methods, Request } from "./protocol.ts";

/** A service that lives in a worker thread. */
export interface Remote<M extends Methods> extends AsyncDisposable {
  call<K extends keyof M & string>(method: K, ...args: Parameters<M[K]>): ReturnType<M[K]>;
}

// Request is a union; removing a key from it must be done member by member.
type Draft = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

/** Threads that have not ended. */
const living = new Set<InferenceWorker>();

/** One thread that hosts any number of services. */
class InferenceWorker {
  readonly #worker: Worker;
  readonly #calls: Calls;
  readonly #exited: Promise<void>;

  constructor(name: string) {
    this.#worker = startThread(siblingModule(import.meta.url, "./host"), { name });
    this.#worker.unref();
    this.#calls = new Calls(this.#worker);
    this.#worker.on("message", (reply: Reply) => this.#calls.settle(reply));
    this.#worker.on("error", (cause: Error) => this.#fail(`failed: ${cause.message}`, cause));
    this.#exited = new Promise((resolve) => {
      this.#worker.on("exit", (code) => {
        living.delete(this);
        this.#fail(`stopped with code ${code}`);
        resolve();
      });
    });
    living.add(this);
  }

  get alive(): boolean {
    return !this.#calls.ended;
  }

  request(draft: Draft): Promise<unknown> {
    return this.#calls.ask(draft);
  }

  /**
   * Ends the thread when it has finished what it computes. It is never terminated by force: ONNX Runtime's native code
   * cannot be stopped, and when it returns into a terminated thread, the whole program is aborted.
   */
  async quit(): Promise<void> {
    this.#calls.end(() => new TtsVarError("MODEL_RUNTIME", "the inference worker was closed"));
    this.#worker.postMessage({ id: 0, type: "quit" } satisfies Request);
    this.#worker.ref();
    await this.#exited;
  }

  #fail(what: string, cause?: Error): void {
    const message = `the inference worker ${what}; is there enough memory?`;
    this.#calls.end(() => new TtsVarError("MODEL_RUNTIME", message, { cause }));
  }
}

/**
 * Ends all inference threads, waiting for what they compute. A program must not exit before, see `quit`.
 *
 * @returns whether all have ended within the time
 */
export async function quitInference(patienceMs = Number.POSITIVE_INFINITY): Promise<boolean> {
  const ended = Promise.all([...living].map((worker) => worker.quit())).then(() => true);
  if (patienceMs === Number.POSITIVE_INFINITY) return ended;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patienceMs);
  });
  return Promise.race([ended, late]).finally(() => clearTimeout(timer));
}

/** Threads by lane, shared by the services that ask for the same lane and closed with the last of them. */
const lanes = new Map<string, { readonly worker: InferenceWorker; users: number }>();

/** `scoring` is where rewards and features compute; `scoring beside` takes a share of many images. */
export type Lane = `generator ${number}` | "scoring" | "scoring beside";

/** The thread of a lane, started where there is none. */
function laneOf(lane: Lane): { readonly worker: InferenceWorker; users: number } {
  const held = lanes.get(lane);
  if (held?.worker.alive) return held;
  const started = { worker: new InferenceWorker(`tts-var ${lane}`), users: 0 };
  lanes.set(lane, started);
  return started;
}

/**
 * Starts threads and loads the runtime there, for whoever will open models in this process but has to check first what he was
 * given. Threads that stay unused end with the program.
 *
 * @param modules module that services of each lane will come from
 */
export function warmThreads(modules: ReadonlyMap<Lane, URL>): void {
  for (const [lane, { href: module }] of modules) {
    const warmed = laneOf(lane).worker.request({ type: "warm", module });
    // What is missing is told when a model is opened.
    warmed.catch(() => undefined);
  }
}

/**
 * Opens a service in a worker thread. ONNX Runtime computes on the thread that calls it; in a worker, progress and
 * Ctrl-C stay alive, and services of different lanes overlap.
 *
 * @param module  module that exports `openService(options): Promise<Service>`
 * @param options JSON-like options for it
 * @param lane    services of one lane share a thread
 * @throws TtsVarError with the code that the service threw; MODEL_RUNTIME if the thread dies
 */
export async function openRemote<M extends Methods>(
  module: URL,
  options: unknown,
  lane: Lane,
): Promise<Remote<M>> {
  const held = laneOf(lane);
  const { worker } = held;
  held.users++;
  const leave = async (): Promise<void> => {
    if (--held.users > 0) return;
    if (lanes.get(lane) === held) lanes.delete(lane);
    await worker.quit();
  };
  let service: number;
  try {
    service = (await worker.request({ type: "open", module: module.href, options })) as number;
  } catch (error) {
    await leave();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    call(method, ...args) {
      if (closing) return Promise.reject(new TtsVarError("MODEL_RUNTIME", "this model was closed")) as never;
      return worker.request({ type: "call", service, method, args }) as never;
    },
    [Symbol.asyncDispose]() {
      // A dead thread has nothing left to close; whoever was waiting for it has got the error.
      closing ??= (worker.alive ? worker.request({ type: "close", service }) : Promise.resolve())
        .then(() => undefined)
        .finally(leave);
      return closing;
    },
  };
}
