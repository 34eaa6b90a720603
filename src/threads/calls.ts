import type { Worker } from "node:worker_threads";
import { fromWire, toWire, type WireError } from "../core/wire-error.ts";

/** A thread's answer to the call of the same number. */
export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: WireError };

export interface AskOptions {
  /** What the call is about, for the error when the thread ends meanwhile. */
  readonly about?: string;
  /** Gives the call up when it fires; the thread is not told. */
  readonly signal?: AbortSignal;
}

interface Waiting {
  readonly about: string | undefined;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** Calls to a worker thread that wait for their replies. The thread keeps the process alive only while one does. */
export class Calls {
  readonly #worker: Pick<Worker, "postMessage" | "ref" | "unref">;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #ended: ((about?: string) => Error) | null = null;

  constructor(worker: Pick<Worker, "postMessage" | "ref" | "unref">) {
    this.#worker = worker;
  }

  get ended(): boolean {
    return this.#ended !== null;
  }

  /**
   * Sends `message` with a number and waits for the reply.
   *
   * @throws what the thread replied, the signal's reason, or what `end` was given
   */
  async ask(message: object, { about, signal }: AskOptions = {}): Promise<unknown> {
    if (this.#ended) throw this.#ended();
    signal?.throwIfAborted();
    const id = ++this.#asked;
    let giveUp: (() => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { about, resolve, reject });
        if (this.#waiting.size === 1) this.#worker.ref();
        giveUp = () => reject(signal?.reason);
        signal?.addEventListener("abort", giveUp, { once: true });
        this.#worker.postMessage({ ...message, id });
      });
    } finally {
      if (giveUp) signal?.removeEventListener("abort", giveUp);
      this.#waiting.delete(id);
      // Once ended, whoever ended it may still wait for the thread.
      if (this.#waiting.size === 0 && !this.#ended) this.#worker.unref();
    }
  }

  settle(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (reply.ok) waiting?.resolve(reply.value);
    else waiting?.reject(fromWire(reply.error));
  }

  /** Rejects the calls that wait and all later ones. What is said first stays. */
  end(errorFor: (about?: string) => Error): void {
    this.#ended ??= errorFor;
    for (const { about, reject } of this.#waiting.values()) reject(this.#ended(about));
  }
}

/**
 * The thread's side: does the work of call `id` and sends what comes of it, a value that cannot be sent being a failure.
 *
 * @param explain has the last word on an error before it is sent
 */
export async function answerCall(
  send: (reply: Reply) => void,
  id: number,
  work: () => unknown,
  explain: (error: unknown) => unknown = (error) => error,
): Promise<void> {
  try {
    send({ id, ok: true, value: await work() });
  } catch (error) {
    send({ id, ok: false, error: toWire(explain(error)) });
  }
}
