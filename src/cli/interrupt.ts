import { Interrupted } from "../run/interrupt.ts";
import { endBySignal } from "./leave.ts";

/** How long a command may take to close its files after the first signal, unless it asks for more. */
const PATIENCE_MS = 600;

/** The first signal of the program, and when it came. */
let first: { readonly signal: "SIGINT" | "SIGTERM"; readonly at: number } | undefined;

/** The signal that interrupts the program, if one does. */
export function firstInterrupt(): { readonly signal: NodeJS.Signals; readonly msAgo: number } | undefined {
  return first && { signal: first.signal, msAgo: performance.now() - first.at };
}

interface Watch {
  readonly controller: AbortController;
  readonly onInt: () => void;
  readonly onTerm: () => void;
  patienceMs: number;
  users: number;
}

/** One for the program, however many parts of it watch. */
let watch: Watch | undefined;

/**
 * Turns the first SIGINT or SIGTERM into an abort, so that a command can close its files; the second one ends the
 * program at once.
 *
 * @param patienceMs time that the command needs to end by itself; then the program ends without it
 */
export function watchInterrupts(patienceMs = PATIENCE_MS): { readonly signal: AbortSignal; stop(): void } {
  watch ??= startWatch();
  const mine = watch;
  mine.users++;
  mine.patienceMs = Math.max(mine.patienceMs, patienceMs);
  return {
    signal: mine.controller.signal,
    stop() {
      if (--mine.users > 0) return;
      process.off("SIGINT", mine.onInt);
      process.off("SIGTERM", mine.onTerm);
      if (watch === mine) watch = undefined;
    },
  };
}

function startWatch(): Watch {
  const controller = new AbortController();
  const onSignal = (signal: "SIGINT" | "SIGTERM"): void => {
    if (controller.signal.aborted) endBySignal(signal);
    first = { signal, at: performance.now() };
    controller.abort(new Interrupted(signal));
  };
  const onInt = (): void => onSignal("SIGINT");
  const onTerm = (): void => onSignal("SIGTERM");
  process.on("SIGINT", onInt);
  process.on("SIGTERM", onTerm);
  return { controller, onInt, onTerm, patienceMs: 0, users: 0 };
}

/**
 * Settles like `work`. After a signal, `work` has the watch's patience to end by itself; whatever it waits for then (a
 * hub, a server, a queue, a pipe) is given up.
 *
 * @throws Interrupted
 */
export async function untilInterrupted<T>(work: Promise<T>): Promise<T> {
  const mine = watch;
  if (!mine) return work;
  const { signal } = mine.controller;
  let timer: NodeJS.Timeout | undefined;
  const givenUp = new Promise<never>((_, reject) => {
    signal.addEventListener(
      "abort",
      () => {
        timer = setTimeout(() => reject(signal.reason), mine.patienceMs);
      },
      { once: true },
    );
  });
  try {
    return await Promise.race([work, givenUp]);
  } catch (error) {
    // What else fails after a signal, fails because of it.
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
}
