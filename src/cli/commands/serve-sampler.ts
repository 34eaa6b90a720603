import { once } from "node:events";
import type { Command } from "commander";
import { watchInterrupts } from "../interrupt.ts";
import { printNote, printResult } from "../output.ts";
import { wholeNumber } from "../whole-number.ts";

const EXAMPLES = `
Examples:
  $ tts-var serve-sampler --model ./infinity-2b --size 0.25M
  $ tts-var search -p "a photo of a cup" --model http://127.0.0.1:8710
  $ TTSVAR_SAMPLER_TOKEN=... tts-var serve-sampler --model ./infinity-2b --host 0.0.0.0

Prints its address on stdout once it is ready, and serves until Ctrl-C or SIGTERM. On any address but this machine's
own it demands the token in TTSVAR_SAMPLER_TOKEN, which searches send from the same variable; it does not encrypt, so
put an SSH tunnel or a proxy with TLS in front. Generators in PyTorch: training/serve_infinity.py.`;

interface Options {
  readonly model: string;
  readonly ratio?: string;
  readonly size?: string;
  readonly shape?: string;
  readonly host: string;
  readonly port: number;
  readonly threads?: number;
  readonly maxRows: number;
  readonly maxSessions: number;
  readonly maxRequestBytes: number;
  readonly idleSeconds: number;
}

/** Requests under way are finished, if they can be by then. */
const STOP_MS = 5000;

/** `tts-var serve-sampler`: a model of this machine for searches on others. */
export function register(program: Command): void {
  program
    .command("serve-sampler")
    .description("Serve a generator to searches in other processes or on other machines.")
    .option("--model <name>", "Generator: a name or a folder", "embedded")
    .option("--ratio <w:h>", "Width to height (default: the model's)")
    .option("--size <size>", "Megapixels (0.25M) or pixels (512x512) (default: the model's)")
    .option("--shape <id>", "Ratio and size by the model's own name for them")
    .option("--host <address>", "Address to listen on", "127.0.0.1")
    .option("--port <n>", "Port; 0 takes any free one", wholeNumber("--port", 0, 65_535), 8710)
    .option("--threads <n>", "Inference threads (default: all cores)", wholeNumber("--threads", 1))
    .option("--max-rows <n>", "Candidates per session", wholeNumber("--max-rows", 1), 64)
    .option("--max-sessions <n>", "Sessions at a time", wholeNumber("--max-sessions", 1), 64)
    .option(
      "--max-request-bytes <n>",
      "Length of a request; images come in requests",
      wholeNumber("--max-request-bytes", 1),
      8 * 2 ** 20,
    )
    .option(
      "--idle-seconds <n>",
      "Drop sessions that their client forgot after this long",
      wholeNumber("--idle-seconds", 1, 86_400),
      900,
    )
    .addHelpText("after", EXAMPLES)
    .action(serve);
}

async function serve(options: Options): Promise<void> {
  const { findGenerator } = await import("../../assemble/find-generator.ts");
  const { serveOverHttp } = await import("../../generators/remote/serve.ts");
  const { model, ratio, size, shape: id, threads, host, port } = options;
  const interrupts = watchInterrupts(STOP_MS);
  try {
    const { definition } = await findGenerator(model);
    const generator = await definition.open(
      { shape: { ratio, size, id } },
      threads === undefined ? {} : { threads },
    );
    try {
      const token = process.env["TTSVAR_SAMPLER_TOKEN"]?.trim() || undefined;
      const { maxRows: rows, maxSessions: sessions, maxRequestBytes: requestBytes, idleSeconds } = options;
      const limits = { rows, sessions, requestBytes, idleSeconds };
      const served = await serveOverHttp(generator, { host, port, token, limits });
      printResult(served.url);
      const guard = token === undefined ? "without a token, for anyone on this machine" : "with a token";
      printNote(`serving ${generator.traits.version} ${guard}; stop with Ctrl-C`);
      if (!interrupts.signal.aborted) await once(interrupts.signal, "abort");
      printNote("stopping: requests under way are finished");
      await served[Symbol.asyncDispose]();
    } finally {
      await generator[Symbol.asyncDispose]();
    }
  } finally {
    interrupts.stop();
  }
}
