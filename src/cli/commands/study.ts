import { basename, extname, join } from "node:path";
import type { Command } from "commander";
import { Disposal, holding } from "../../core/disposal.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";
import type { Progress } from "../../run/progress.ts";
import type { StudyTable } from "../../study/study-table.ts";
import { addForceFlag } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress, longStatus, progressStyle } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var study run configs/studies/smoke.yaml
  $ tts-var study run configs/studies/strategies.yaml --jobs 4 --out results
  $ tts-var study report results/strategies

Draws one tree of whole images per prompt and replicate, decides on it offline every strategy that never copies, runs the
others live, and judges all answers. An interrupted study continues where it stopped. Writes
<out>/<name>/{answers.jsonl,table.json,table.md,scores.svg,previews.svg,README.md}; a report is made again from
answers.jsonl alone.`;

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
        const table = await runStudyFile(file, dir, options, progress, status, interrupts.signal);
        await printTable(table, dir, options);
      } finally {
        interrupts.stop();
      }
    });
  study
    .command("report")
    .description("Write a study's report again from its answers, without any model.")
    .argument("<dir>", "Folder of the study")
    .option("--json", "Print one JSON object on stdout")
    .action(async (dir: string, options: OutputOptions) => printTable(await reportAgain(dir), dir, options));
}

async function printTable(table: StudyTable, dir: string, { json }: OutputOptions): Promise<void> {
  const { describeTable } = await import("../../study/study-report.ts");
  if (json) printJson({ schemaVersion: 1, dir, ...table });
  else printResult(`${describeTable(table)}\n${join(dir, "README.md")}`);
}

async function runStudyFile(
  file: string,
  dir: string,
  options: RunOptions,
  progress: Progress,
  status: (text: string) => void,
  signal: AbortSignal,
): Promise<StudyTable> {
  const { readYamlFile } = await import("../../config/read-yaml.ts");
  const { openStudy } = await import("../../assemble/open-study.ts");
  const { parseStudy } = await import("../../study/study-config.ts");
  const { runStudy } = await import("../../study/run-study.ts");
  const { recordOf } = await import("../../study/study-record.ts");
  const { writeReport } = await import("../../study/study-report.ts");
  const { openStudyStore } = await import("../../study/study-store.ts");
  const { tree, lineOf } = await readYamlFile(file, "study", "configs/studies has some");
  const config = parseStudy(tree, file, lineOf);
  const count = (text: string | undefined, flag: string) =>
    text === undefined ? undefined : parseCount(text, flag);
  const { claimStudy } = await import("../../study/study-folder.ts");
  const claim = claimStudy(dir, { command: "study run", force: options.force ?? false });
  const owned = new Disposal();
  const work = async () => {
    const { parts, plan, generators } = await openStudy(
      config,
      {
        threads: count(options.threads, "--threads"),
        generators: count(options.generators, "--generators"),
        hostOf: (allowDownload) => pluginHost(allowDownload, progress),
        placeOf: (path) => [file, ...[lineOf(path) ?? []].flat()].join(":"),
      },
      owned,
    );
    const store = await openStudyStore(dir, config, parts, plan.arms);
    try {
      const { trees, cells } = await runStudy(plan, parts, store, {
        jobs: count(options.jobs, "--jobs") ?? generators + 1,
        signal,
        onProgress: (what, done, of) => status(`${done} of ${of} ${what}`),
      });
      const { generator, rewards, features, judge } = parts;
      const versions = {
        model: `${generator.traits.name}@${generator.traits.version}`,
        ...Object.fromEntries(
          Object.entries(rewards).map(([key, { version }]) => [`reward ${key}`, version]),
        ),
        ...(features ? { features: `${features.name}@${features.version}` } : {}),
        judge: judge.id,
      };
      const record = recordOf(trees, cells, parts.primaryReward);
      return await writeReport(dir, config, record, { command: `tts-var study run ${file}`, versions });
    } finally {
      store[Symbol.dispose]();
      await owned[Symbol.asyncDispose]();
    }
  };
  return holding([claim], () => owned.during(work));
}

/** @throws EVAL_DATA when the folder holds no answers */
async function reportAgain(dir: string): Promise<StudyTable> {
  const { readJsonl } = await import("../../io/jsonl.ts");
  const { parseStudy } = await import("../../study/study-config.ts");
  const { parseRecord } = await import("../../study/study-record.ts");
  const { recordFile, writeReport } = await import("../../study/study-report.ts");
  const path = join(dir, recordFile);
  const { rows } = await readJsonl<unknown>(path);
  const { config, facts, ...record } = parseRecord(rows, path);
  const { claimStudy } = await import("../../study/study-folder.ts");
  const claim = claimStudy(dir, { command: "study report", force: false });
  return holding([claim], () => writeReport(dir, parseStudy(config, path), record, facts));
}
