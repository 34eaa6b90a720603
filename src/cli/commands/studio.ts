import { once } from "node:events";
import type { Command } from "commander";
import { addSearchFlags, sourcesOf } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printNote, printResult } from "../output.ts";
import { wholeNumber } from "../whole-number.ts";

const EXAMPLES = `
Examples:
  $ tts-var studio
  $ tts-var studio --port 0 --budget 16
  $ tts-var studio --model ./infinity-2b --size 0.25M --runs ./runs

Prints its address on stdout, with a token: open it in a browser on this machine. The flags of \`search\` are where the
form begins, and the only way to name files and plug-ins: the page offers what is listed and what was given here. One
search runs at a time, others wait. Ctrl-C ends the running search, whose folder stays valid, and the studio.`;

/** So long may the running search take to close its folder. */
const STOP_MS = 2000;

/** `tts-var studio`: searches in the browser. */
export function register(program: Command): void {
  const command = program
    .command("studio")
    .description("Search in the browser: start, watch, compare and take up searches, on this machine only.");
  addSearchFlags(command, ["out"])
    .option("--runs <dir>", "Folder of runs, old and new", "results/runs")
    .option("--port <n>", "Port; 0 takes any free one", wholeNumber("--port", 0, 65_535), 8714)
    .addHelpText("after", EXAMPLES)
    .action(async ({ runs, port }: { runs: string; port: number }) => {
      const { serveStudio } = await import("../../studio/serve.ts");
      const interrupts = watchInterrupts(STOP_MS);
      try {
        const served = await serveStudio({ runs, port, base: await sourcesOf(command) });
        printResult(served.url);
        printNote("the studio is open; stop with Ctrl-C");
        if (!interrupts.signal.aborted) await once(interrupts.signal, "abort");
        await served.close();
      } finally {
        interrupts.stop();
      }
    });
}
