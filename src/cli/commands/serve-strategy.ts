import { once } from "node:events";
import type { Command } from "commander";
import { TtsVarError } from "../../core/errors.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printNote, printResult } from "../output.ts";

const EXAMPLES = `
Examples:
  $ tts-var serve-strategy
  $ TTSVAR_SELECTION_TOKEN=... tts-var serve-strategy --host 0.0.0.0 --port 8711
  $ python3 examples/select_client.py http://127.0.0.1:8711

A loop that draws images elsewhere (diffusers, ComfyUI, ...) says how many stages it has and what it may spend, and is told
what to draw, what to score, and whom to keep or copy: docs/selection-server.md. Nothing is loaded, and no image is sent.
Prints its address on stdout once it is ready, and serves until Ctrl-C or SIGTERM. On any address but this machine's own it
demands the token in TTSVAR_SELECTION_TOKEN; it does not encrypt.`;

interface Options {
  readonly host: string;
  readonly port: number;
  readonly maxSessions: number;
  readonly idleSeconds: number;
}

/** Requests under way are finished, if they can be by then. */
const STOP_MS = 5000;

/** `tts-var serve-strategy`: decisions for loops of other programs. */
export function register(program: Command): void {
  program
    .command("serve-strategy")
    .description("Decide for loops of other programs which candidates go on.")
    .option("--host <address>", "Address to listen on", "127.0.0.1")
    .option("--port <n>", "Port; 0 takes any free one", whole("--port", 0, 65_535), 8711)
    .option("--max-sessions <n>", "Searches at a time", whole("--max-sessions", 1), 256)
    .option(
      "--idle-seconds <n>",
      "Drop searches that their loop forgot after this long",
      whole("--idle-seconds", 1, 86_400),
      3600,
    )
    .addHelpText("after", EXAMPLES)
    .action(serve);
}

async function serve({ host, port, maxSessions: sessions, idleSeconds }: Options): Promise<void> {
  const { strategyRegistry } = await import("../../assemble/builtins.ts");
  const { loadStrategy } = await import("../../plugins/load-strategy.ts");
  const { serveSelection } = await import("../../selection/serve-selection.ts");
  const interrupts = watchInterrupts(STOP_MS);
  try {
    const token = process.env["TTSVAR_SELECTION_TOKEN"]?.trim() || undefined;
    const load = async (name: string, options: unknown) => {
      // A client must not choose which files of this machine are run.
      if (!strategyRegistry.has(name)) await strategyRegistry.load(name);
      const found = await loadStrategy(name, options, { registry: strategyRegistry, baseDir: process.cwd() });
      return found.value.search;
    };
    const served = await serveSelection(load, { host, port, token, limits: { sessions, idleSeconds } });
    printResult(served.url);
    const guard = token === undefined ? "without a token, for anyone on this machine" : "with a token";
    printNote(`serving strategies ${guard}; stop with Ctrl-C`);
    if (!interrupts.signal.aborted) await once(interrupts.signal, "abort");
    printNote("stopping: requests under way are finished");
    await served[Symbol.asyncDispose]();
  } finally {
    interrupts.stop();
  }
}

function whole(flag: string, least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least}` : `from ${least} to ${most}`;
    throw new TtsVarError("USAGE", `${flag} must be a whole number ${range}, not ${text}`);
  };
}
