import { isMainThread } from "node:worker_threads";
import { TtsVarError } from "../core/errors.ts";

const SWITCH = "ORT_DISABLE_TELEMETRY";

/**
 * Switches off ONNX Runtime's telemetry, which is on by default: it reads the machine's id and the command line (and
 * crashes on a long one), leaves files in the home and temporary folders, and calls a collector. The runtime looks at
 * the process's environment once, when its first session opens; so this comes before any import of it, and before any
 * thread starts, because a thread of Node has only a copy of the environment and cannot change the process's own.
 *
 * @throws TtsVarError MODEL_RUNTIME in a thread that another program started without the switch
 */
export function silenceRuntime(): void {
  if (isMainThread) process.env[SWITCH] = "1";
  else if (process.env[SWITCH] !== "1") {
    throw new TtsVarError(
      "MODEL_RUNTIME",
      `models cannot be opened in this worker thread before ONNX Runtime's telemetry is off; set process.env.${SWITCH} = "1" in the main thread, before the thread starts`,
    );
  }
}
