import { quitInference } from "../inference/runtime/worker/inference-worker.ts";

/** How long a thread may go on with one computation after an interrupt. */
const PATIENCE_MS = 300;

/**
 * Ends the program. Exiting while a thread computes would abort it (SIGABRT), so the threads come first; after an
 * interrupt they have little time, and the program then ends by that signal, which a shell reports by the same number.
 *
 * @param code exit code
 * @param interrupted the signal that ends the program, if one does
 */
export async function leave(code: number, interrupted?: NodeJS.Signals): Promise<never> {
  // What a given-up command still waited for may fail now; nobody is left to hear it.
  process.on("unhandledRejection", () => undefined);
  process.on("uncaughtException", () => undefined);
  const quiet = await quitInference(interrupted === undefined ? Number.POSITIVE_INFINITY : PATIENCE_MS);
  if (!quiet && interrupted !== undefined) endBySignal(interrupted);
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
