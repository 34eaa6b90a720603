import type { Command } from "commander";
import type { AgreeFlags } from "../bench/agree.ts";
import { addBenchJudgeFlags, type BenchJudgeFlags } from "../bench/judge-flags.ts";
import { addForceFlag, addOutputFlags, addSearchFlags } from "../flags.ts";
import type { CompareFlags } from "../geneval/compare.ts";
import type { JudgeFolderFlags } from "../geneval/judge.ts";
import { addRunFlags } from "../geneval/run-flags.ts";
import type { SummarizeFlags } from "../geneval/summarize.ts";

const EXAMPLES = `
Examples:
  $ tts-var list benchmarks
  $ tts-var bench run --layout home-geneval-2 --prompts 40 --samples 1 --budget 4 --out results/runs/home
  $ tts-var bench generate --layout dpg --prompts dpg_bench.csv --samples 4 --out results/runs/dpg
  $ tts-var bench generate --layout wise --prompts WISE/data_verified --samples 1 --out results/runs/wise
  $ tts-var bench run --layout geneval-2 --prompts geneval2_data.jsonl --samples 1 --out results/runs/g2 \\
      --judge http://localhost:8000/v1 --judge-model Qwen3-VL-8B-Instruct
  $ tts-var bench judge results/runs/home --judge http://localhost:8000/v1 --judge-model m --out vlm.jsonl
  $ tts-var bench agree results/runs/home vlm.jsonl

generate writes the folder that the official scripts of a benchmark read, and says how to call them. A run that was
interrupted goes on when the same command is given again. Exit code 5: something is missing.`;

const layoutFlag = [
  "--layout <name>",
  "Benchmark (`tts-var list benchmarks`); default: the folder's own",
] as const;

/** `tts-var bench`: benchmarks after GenEval. */
export function register(program: Command): void {
  const group = program
    .command("bench")
    .description(
      "Evaluate by other benchmarks: images in their layouts, verdicts, tables, judges side by side.",
    )
    .addHelpText("after", EXAMPLES);
  registerRun(group, "generate", "make images of all prompts in the layout of the official judge", false);
  registerRun(group, "run", "make images of all prompts, judge them here and print the table", true);
  const judge = group
    .command("judge <dir>")
    .description("judge a folder of images")
    .option(...layoutFlag)
    .option("-o, --out <file>", "Results file")
    .option("--allow-partial", "Judge what is there although images are missing");
  addOutputFlags(addForceFlag(addBenchJudgeFlags(judge))).action(
    async (dir: string, flags: BenchJudgeFlags & JudgeFolderFlags) =>
      (await import("../bench/run.ts")).judgeBench(dir, flags),
  );
  group
    .command("summarize <path>")
    .description("print the table of an evaluation folder or a results file")
    .option(...layoutFlag)
    .option("--allow-partial", "Summarise an incomplete set, marked as such")
    .option("--json", "Print one JSON object on stdout")
    .action(async (path: string, flags: SummarizeFlags & { layout?: string }) => {
      const { benchmarkOf } = await import("../bench/find.ts");
      const benchmark = await benchmarkOf(flags.layout, [path]);
      await (await import("../geneval/summarize.ts")).summarizePath(path, flags, benchmark);
    });
  group
    .command("compare <a> <b>")
    .description("compare two evaluations of the same prompts by one judge, image by image: B minus A")
    .option(...layoutFlag)
    .option("--draws <n>", "Bootstrap draws of the intervals for these prompts", "10000")
    .option("--flips <n>", "Changed prompts to list, or all", "20")
    .option("--allow-partial", "Compare what both have")
    .option("--json", "Print one JSON object on stdout")
    .action(async (a: string, b: string, flags: CompareFlags & { layout?: string }) => {
      const { benchmarkOf } = await import("../bench/find.ts");
      const benchmark = await benchmarkOf(flags.layout, [a, b]);
      await (await import("../geneval/compare.ts")).comparePaths(a, b, flags, benchmark);
    });
  group
    .command("agree <a> <b>")
    .description("two judges on the same images, side by side: a detector and a language model, say")
    .option("--list <n>", "Images to list on which they differ", "10")
    .option("--allow-partial", "Compare what both have judged")
    .option("--json", "Print one JSON object on stdout")
    .action(async (a: string, b: string, flags: AgreeFlags) =>
      (await import("../bench/agree.ts")).agreePaths(a, b, flags),
    );
}

function registerRun(group: Command, name: string, summary: string, judged: boolean): void {
  const command = group
    .command(name)
    .description(summary)
    .option("--layout <name>", "Benchmark: see `tts-var list benchmarks`")
    .option(
      "--prompts <source>",
      "The benchmark's own file or folder, or a number of generated prompts",
      "553",
    );
  addRunFlags(command);
  if (judged) addBenchJudgeFlags(command);
  addOutputFlags(addForceFlag(addSearchFlags(command))).action(async () =>
    (await import("../bench/run.ts")).runBench(command, judged),
  );
}
