import { quitInference } from "../inference/runtime/worker/inference-worker.ts";

/** A program ends within a second of the signal; so long may a thread go on with one computation. */
const END_MS = 900;
/** If a command has used up its own time, the threads still get some. */
const LEAST_MS = 200;

/**
 * Ends the program. Exiting while a thread computes would abort it (SIGABRT), so the threads come first; after an
 * interrupt they have little time, and the program then ends by that signal, which a shell reports by the same number.
 *
 * @param code exit code
 * @param interrupted the signal that ends the program, if one does, and how long ago it came
 */
export async function leave(
  code: number,
  interrupted?: { readonly signal: NodeJS.Signals; readonly msAgo: number },
): Promise<never> {
  // What a given-up command still waited for may fail now; nobody is left to hear it.
  process.on("unhandledRejection", () => undefined);
  process.on("uncaughtException", () => undefined);
  const patience = interrupted && Math.max(LEAST_MS, END_MS - interrupted.msAgo);
  const quiet = await quitInference(patience);
  if (!quiet && interrupted) endBySignal(interrupted.signal);
  process.exit(code);
}

/** Ends the program at once by the signal's own action, after what every exit does. */
export function endBySignal(signal: NodeJS.Signals): never {
  process.emit("exit", 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container ignores signals that it sends to itself.
  process.exit(1);
}
