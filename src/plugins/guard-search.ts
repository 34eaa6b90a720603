import { Script } from "node:vm";
import { TtsVarError } from "../core/errors.ts";
import { type SearchOutcome, type SearchProgram, SIGHT_OF } from "../core/program.ts";
import type { SearchFunction, SearchSpace } from "../core/strategy.ts";
import { ActionChecks } from "./check-actions.ts";
import { placeOf } from "./check-shape.ts";

/** Milliseconds that a program may think about one action. */
const thinkingMs = 30_000;
/** More actions than any search needs; a program that yields more has lost its way. */
const mostActions = 20_000;

const actions: ReadonlySet<string> = new Set(Object.keys(SIGHT_OF));

/**
 * A user's search program with its mistakes caught where they happen: what it throws, returns or yields amiss, what the
 * engine would refuse, an endless loop. It runs in this process, because it decides synchronously.
 *
 * @param what the plug-in as the user knows it; `path` its file, to name the line of an error
 * @throws (from the program) PLUGIN_INVALID
 */
export function guardSearch(search: SearchFunction, what: string, path: string): SearchFunction {
  const invalid = (problem: string, cause?: unknown) =>
    new TtsVarError("PLUGIN_INVALID", `${what} ${problem}`, { cause });
  const run = <T>(step: () => T): T => {
    try {
      return interruptible(step);
    } catch (error) {
      if (error instanceof TtsVarError) throw error;
      if ((error as NodeJS.ErrnoException | null)?.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") {
        throw invalid(`did not decide within ${thinkingMs / 1000} s; look for an endless loop in it`, error);
      }
      throw invalid(`failed: ${messageOf(error)}${placeOf(error, path)}`, error);
    }
  };
  return function* guarded(space: SearchSpace): SearchProgram<SearchOutcome> {
    const program = run(() => search(space));
    if (typeof (program as Partial<SearchProgram<SearchOutcome>> | undefined)?.next !== "function") {
      throw invalid('returned no search program; write "export default function* (space) { ... }"');
    }
    const checks = new ActionChecks(space);
    let turn = run(() => program.next());
    for (let count = 0; !turn.done; count++) {
      const action = turn.value;
      if (!actions.has(action?.type)) {
        throw invalid(`yielded something that is no action; use yield* with ${[...actions].join(", ")}`);
      }
      if (count === mostActions) throw invalid(`did not end within ${mostActions} actions`);
      const problem = checks.problemOf(action);
      if (problem) throw invalid(problem);
      const seen = yield action;
      checks.done(action, seen);
      turn = run(() => program.next(seen));
    }
    const outcome = turn.value as Partial<SearchOutcome> | undefined;
    if (!Array.isArray(outcome?.finalists?.ids) || typeof outcome.best !== "number") {
      throw invalid(
        "returned no answer; return { finalists, best }: a finished population and the row of its best",
      );
    }
    const problem = checks.problemOfAnswer(outcome as SearchOutcome);
    if (problem) throw invalid(problem);
    return outcome as SearchOutcome;
  };
}

const handOver = Symbol.for("tts-var.search-step");
const script = new Script('globalThis[Symbol.for("tts-var.search-step")]()');

/** Runs synchronous code that can be stopped: Node only stops what a script of `vm` called. */
function interruptible<T>(step: () => T): T {
  const shared = globalThis as { [handOver]?: () => T };
  shared[handOver] = step;
  try {
    return script.runInThisContext({ timeout: thinkingMs }) as T;
  } finally {
    delete shared[handOver];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
