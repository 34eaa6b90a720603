/**
 * Every failure that a user can cause or act on has a code here. The message says what was wrong, where, and what to
 * do. Codes are stable and never reused; the exit code of the command line follows from the code's family.
 */
const EXIT_CODES = {
  INTERNAL: 1,
  REWARD_VALUE: 3,
  USAGE: 2,
  CONFIG_INVALID: 2,
  CONFIG_NOT_FOUND: 2,
  PLUGIN_UNKNOWN: 2,
  PLUGIN_INVALID: 2,
  OUTPUT_UNWRITABLE: 2,
  MODEL_NOT_FOUND: 3,
  MODEL_INVALID: 3,
  MODEL_RUNTIME: 3,
  REWARD_FAILED: 3,
  BUDGET_INFEASIBLE: 4,
  BUDGET_EXCEEDED: 4,
  MEMORY_INFEASIBLE: 4,
  EVAL_PARTIAL: 5,
  EVAL_DATA: 5,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

/** Whether this is one of ours; codes arrive from other threads, processes and machines, too. */
function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(EXIT_CODES, code);
}

/** The one error class of the project. `details` are JSON-safe and go to the run folder and to `--json` output. */
export class TtsVarError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "TtsVarError";
    this.code = isErrorCode(code) ? code : "INTERNAL";
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return EXIT_CODES[this.code];
  }
}

/** Exit code for any thrown value: a coded error's own, 1 for everything else. */
export function exitCodeOf(error: unknown): number {
  return error instanceof TtsVarError ? error.exitCode : EXIT_CODES.INTERNAL;
}
