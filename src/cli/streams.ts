import { writeSync } from "node:fs";
import { outputError } from "../io/atomic.ts";
import { printNote } from "./output.ts";

/** The first error of stdout other than a reader who has seen enough. */
let trouble: Error | undefined;

/**
 * Keeps the two streams from ending the program. Whoever reads progress may go away or have a full disk: the work goes
 * on. A reader of the results who has seen enough (`tts-var list | head -1`) is no error; any other failure is one, and
 * known in the end.
 */
export function guardStreams(): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "ERR_STREAM_DESTROYED") trouble ??= error;
  });
  const { stdout } = process;
  // For files, Node writes once and does not look at how much of it a disk that is nearly full has taken.
  if (stdout.constructor.name === "SyncWriteStream") {
    stdout._write = (chunk: Buffer, _encoding, done) => {
      try {
        for (let at = 0; at < chunk.length; ) at += writeSync(1, chunk, at);
        done();
      } catch (error) {
        done(error as Error);
      }
    };
  }
}

/**
 * Waits until stdout has taken everything; after an interrupt, not for long.
 *
 * @returns the exit code: 1 instead of 0 if results are lost
 */
export async function finishStdout(code: number, interrupted: boolean): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    process.stdout.write("", () => resolve());
    if (interrupted) timer = setTimeout(resolve, 100);
  });
  clearTimeout(timer);
  if (trouble === undefined || code !== 0) return code;
  const reason = outputError(trouble, "the results to stdout") as Error;
  printNote(`error: ${reason.message}`);
  return 1;
}
