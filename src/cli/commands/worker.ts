import type { Command } from "commander";
import { TtsVarError } from "../../core/errors.ts";
import type { SampleJob, SampleResult } from "../../eval/sample-job.ts";
import { orAborted } from "../../run/interrupt.ts";
import { watchInterrupts } from "../interrupt.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

interface WorkerFlags {
  readonly queue: string;
  readonly queueName?: string;
  readonly lockSeconds: string;
  readonly quiet?: boolean;
}

/** `tts-var worker`: searches for `geneval run --queue` on other machines until interrupted. */
export function register(program: Command): void {
  program
    .command("worker")
    .description("Search for `tts-var geneval run --queue` until interrupted; start one per core.")
    .requiredOption(
      "--queue <url>",
      "Server that the coordinator uses: redis://host:port or postgres://host:port/database",
    )
    .option("--queue-name <name>", "Name of the queue, the same as the coordinator's")
    .option(
      "--lock-seconds <s>",
      "Silence after which a worker counts as dead and its job is given away",
      "20",
    )
    .option("-q, --quiet", "Warnings and errors only")
    .action(serve);
}

async function serve(flags: WorkerFlags): Promise<void> {
  const lockSeconds = Number(flags.lockSeconds);
  if (!(lockSeconds >= 1)) {
    throw new TtsVarError("USAGE", `--lock-seconds ${flags.lockSeconds}: must be at least 1`);
  }
  const interrupts = watchInterrupts();
  const progress = createProgress(flags.quiet ?? false);
  const { SampleRunner } = await import("../../eval/run-sample.ts");
  const { partsOpener } = await import("../../assemble/open-parts.ts");
  const { seconds } = await import("../../run/clock.ts");
  const { serveQueue } = await import("../../queue/bullmq.ts");
  const runner = new SampleRunner(
    partsOpener((allowDownload) => pluginHost(allowDownload, progress)),
    seconds,
  );
  let done = 0;
  let trouble = "";
  try {
    const worker = await serveQueue<SampleJob, SampleResult>(
      (job, { signal, folder }) => runner.run(job, { signal, ...(folder === null ? {} : { folder }) }),
      {
        url: flags.queue,
        ...(flags.queueName === undefined ? {} : { name: flags.queueName }),
        lockSeconds,
        signal: interrupts.signal,
        onError(error) {
          // A lost server is reported once, not at every attempt to reach it.
          if (error.message !== trouble) progress.warn(error.message || "no connection to the queue");
          trouble = error.message;
        },
        onDone() {
          trouble = "";
          progress.status(`${++done} searches done`);
        },
      },
    );
    progress.line(`serving queue "${worker.name}" of ${worker.label}; end with Ctrl-C`);
    try {
      await orAborted(new Promise<never>(() => undefined), interrupts.signal);
    } finally {
      await worker[Symbol.asyncDispose]();
    }
  } finally {
    progress.end();
    await runner[Symbol.asyncDispose]();
    interrupts.stop();
  }
}
