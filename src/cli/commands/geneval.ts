import type { Command } from "commander";
import { addForceFlag, addOutputFlags, addSearchFlags } from "../flags.ts";
import type { CompareFlags } from "../geneval/compare.ts";
import type { JudgeCommandFlags } from "../geneval/judge.ts";
import { addJudgeFlags } from "../geneval/judge-flags.ts";
import type { PromptsFlags } from "../geneval/prompts.ts";
import { addRunFlags } from "../geneval/run-flags.ts";
import type { SummarizeFlags } from "../geneval/summarize.ts";

const EXAMPLES = `
Examples:
  $ tts-var geneval prompts --seed 1 --out prompts.jsonl
  $ tts-var geneval run --prompts 553 --samples 4 --strategy tts-var --budget 4 --out results/runs/tts-var-4
  $ tts-var geneval run --prompts evaluation_metadata.jsonl --out results/runs/official
  $ tts-var geneval judge DIR --judge ./detr-folder --color-model ./clip-folder --out results.jsonl
  $ tts-var geneval judge --detections recorded.jsonl
  $ tts-var geneval summarize results/runs/tts-var-4
  $ tts-var geneval compare results/runs/best-of-n-4 results/runs/tts-var-4
  $ tts-var geneval run --queue redis://host:6379 --out results/runs/many   (with \`tts-var worker\` elsewhere)

A run that was interrupted goes on when the same command is given again. Exit code 5: something is missing.`;

const collect = (value: string, before: string[] = []): string[] => [...before, value];

/** `tts-var geneval`: GenEval's prompts, images, verdicts and tables. */
export function register(program: Command): void {
  const group = program
    .command("geneval")
    .description("Evaluate by GenEval's protocol: prompts, images, verdicts, tables, comparisons.")
    .addHelpText("after", EXAMPLES);
  registerPrompts(group);
  registerRun(group, "run", "make images of all prompts, judge them and print the table", true);
  registerRun(group, "generate", "make images of all prompts only", false);
  registerJudge(group);
  registerSummarize(group);
  registerCompare(group);
}

function registerPrompts(group: Command): void {
  addForceFlag(group.command("prompts"))
    .description("generate prompts of GenEval's grammar, as official metadata rows")
    .option("--count <n>", "Prompts, split over the six tasks as in the official set", "553")
    .option("--per-tag <tag=n,...>", "Prompts by task instead; tasks that are not named get none")
    .option("--seed <seed>", "Seed of the generator", "0")
    .option(
      "--disjoint-from <set>",
      "Metadata file, or seed:count of generated prompts, whose scenes must not occur; repeatable",
      collect,
    )
    .option("-o, --out <file>", "Write there instead of stdout")
    .option("--json", "Print one JSON object on stdout")
    .action(async (flags: PromptsFlags) => (await import("../geneval/prompts.ts")).promptsCommand(flags));
}

function registerRun(group: Command, name: string, summary: string, judged: boolean): void {
  const command = group.command(name).description(summary);
  command.option("--prompts <file|n>", "Official metadata file, or a number of generated prompts", "553");
  addRunFlags(command);
  if (judged) addJudgeFlags(command);
  addOutputFlags(addForceFlag(addSearchFlags(command))).action(async () =>
    (await import("../geneval/run.ts")).runGeneval(command, judged),
  );
}

function registerJudge(group: Command): void {
  const command = group
    .command("judge [dir]")
    .description("judge a folder of images in GenEval's layout, or recorded detections")
    .option("--detections <file>", "Lines {metadata, detections, colors} to judge instead of images")
    .option("-o, --out <file>", "Results file (with --detections: stdout if not given)")
    .option("--allow-partial", "Judge what is there although images are missing");
  addOutputFlags(addForceFlag(addJudgeFlags(command))).action(
    async (dir: string | undefined, flags: JudgeCommandFlags) =>
      (await import("../geneval/judge.ts")).judgeCommand(dir, flags),
  );
}

function registerSummarize(group: Command): void {
  group
    .command("summarize <path>")
    .description("print GenEval's table of an evaluation folder or a results file (also an official one)")
    .option("--prompts <file|n>", "Prompts that the set must have, to check that it is complete")
    .option("--samples <n>", "Images that each prompt must have")
    .option("--allow-partial", "Summarise an incomplete set, marked as such")
    .option("--json", "Print one JSON object on stdout")
    .action(async (path: string, flags: SummarizeFlags) =>
      (await import("../geneval/summarize.ts")).summarizePath(path, flags),
    );
}

function registerCompare(group: Command): void {
  group
    .command("compare <a> <b>")
    .description("compare two evaluations of the same prompts, image by image: B minus A")
    .option("--draws <n>", "Bootstrap draws of the intervals for these prompts", "10000")
    .option("--flips <n>", "Changed prompts to list, or all", "20")
    .option("--allow-partial", "Compare what both have")
    .option("--json", "Print one JSON object on stdout")
    .action(async (a: string, b: string, flags: CompareFlags) =>
      (await import("../geneval/compare.ts")).comparePaths(a, b, flags),
    );
}
