import { basename, extname, join } from "node:path";
import type { Command } from "commander";
import { addForceFlag } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { createProgress, longStatus, progressStyle } from "../progress.ts";
import type { StudyOutcome } from "../run-study-file.ts";

const EXAMPLES = `
Examples:
  $ tts-var study run configs/studies/smoke.yaml
  $ tts-var study run configs/studies/strategies.yaml --jobs 4 --out results
  $ tts-var study run configs/studies/families.yaml
  $ tts-var study report results/strategies

Draws one tree of whole images per prompt and replicate, decides on it offline every strategy that never copies, runs the
others live, and judges all answers. An interrupted study continues where it stopped. Writes
<out>/<name>/{answers.jsonl,table.json,table.md,scores.svg,previews.svg,README.md}; a report is made again from
answers.jsonl alone. A study with \`models: [...]\` runs once for each of them, in <out>/<name>/<model>, and writes
<out>/<name>/{table.json,table.md,models.svg,README.md} of all.`;

interface OutputOptions {
  readonly json?: boolean;
}

interface RunOptions extends OutputOptions {
  readonly out: string;
  readonly jobs?: string;
  readonly generators?: string;
  readonly threads?: string;
  readonly force?: boolean;
  readonly quiet?: boolean;
}

/** `tts-var study`: strategies against each other, with intervals. */
export function register(program: Command): void {
  const study = program
    .command("study")
    .description("Compare strategies at equal cost, with intervals and controls.");
  addForceFlag(study.command("run"))
    .description("Run or continue a study and write its report.")
    .argument("<file>", "Study configuration (YAML)")
    .option("--out <dir>", "Folder of all studies", "results")
    .option("--jobs <n>", "Searches at a time (default: one more than generators)")
    .option(
      "--generators <n>",
      "Copies of the generator that draw side by side (default: one per core, if small)",
    )
    .option(
      "--threads <n>",
      "Inference threads of each; does not change the images (default: the cores over the copies)",
    )
    .option("--json", "Print one JSON object on stdout")
    .option("-q, --quiet", "No progress on stderr; warnings and errors only")
    .addHelpText("after", EXAMPLES)
    .action(async (file: string, options: RunOptions) => {
      const interrupts = watchInterrupts();
      try {
        const quiet = options.quiet ?? false;
        const progress = createProgress(quiet);
        const dir = join(options.out, basename(file, extname(file)));
        const status = longStatus(progress, progressStyle(quiet).live);
        const { runStudyFile } = await import("../run-study-file.ts");
        print(
          await runStudyFile(file, dir, { ...options, progress, status, signal: interrupts.signal }),
          dir,
          options,
        );
      } finally {
        interrupts.stop();
      }
    });
  study
    .command("report")
    .description("Write a study's report again from its answers, without any model.")
    .argument("<dir>", "Folder of the study")
    .option("--json", "Print one JSON object on stdout")
    .action(async (dir: string, options: OutputOptions) => {
      const { reportAgain } = await import("../run-study-file.ts");
      print(await reportAgain(dir), dir, options);
    });
}

function print({ markdown, table }: StudyOutcome, dir: string, { json }: OutputOptions): void {
  if (json) printJson({ schemaVersion: 1, dir, ...table });
  else printResult(`${markdown}\n${join(dir, "README.md")}`);
}
