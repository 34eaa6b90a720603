import type { Progress } from "../run/progress.ts";
import { printNote } from "./output.ts";
import { printable } from "./printable.ts";

export interface ProgressStyle {
  readonly quiet: boolean;
  /** A live status line; otherwise plain lines only. */
  readonly live: boolean;
  readonly color: boolean;
}

/** How to show progress here: live on a terminal outside CI; colours unless NO_COLOR is set. */
export function progressStyle(
  quiet: boolean,
  environment: NodeJS.ProcessEnv = process.env,
  stream: { readonly isTTY?: boolean } = process.stderr,
): ProgressStyle {
  const terminal = stream.isTTY === true && environment["TERM"] !== "dumb";
  const ci = (environment["CI"] ?? "") !== "";
  const color = terminal && (environment["NO_COLOR"] ?? "") === "";
  return { quiet, live: terminal && !ci && !quiet, color };
}

/** Milliseconds between plain lines about a long job. */
const lineEvery = 30_000;

/**
 * The state of a long job: live on a terminal, elsewhere a plain line at once and then every half minute, so that a log
 * shows that the job is alive.
 */
export function longStatus(progress: Progress, live: boolean): (text: string) => void {
  let next = 0;
  return (text) => {
    if (live) return progress.status(text);
    if (Date.now() < next) return;
    next = Date.now() + lineEvery;
    progress.line(text);
  };
}

export function createProgress(quiet: boolean, style: ProgressStyle = progressStyle(quiet)): Progress {
  let shown = false;
  const clear = (): void => {
    if (shown) process.stderr.write("\r\u001b[2K");
    shown = false;
  };
  const paint = (code: number, text: string): string =>
    style.color ? `\u001b[${code}m${text}\u001b[0m` : text;
  return {
    status(text) {
      if (!style.live) return;
      const room = Math.max(20, process.stderr.columns ?? 80) - 1;
      process.stderr.write(`\r\u001b[2K${paint(2, printable(text).slice(0, room))}`);
      shown = true;
    },
    line(text) {
      if (style.quiet) return;
      clear();
      printNote(printable(text));
    },
    warn(text) {
      clear();
      printNote(`${paint(33, "warning:")} ${printable(text)}`);
    },
    end: clear,
  };
}
