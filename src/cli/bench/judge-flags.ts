import type { Command } from "commander";
import type { BenchJudgeChoice } from "../../assemble/open-bench-judge.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";

export interface BenchJudgeFlags {
  readonly judge?: string;
  readonly judgeModel?: string;
  readonly judgeKey?: string;
  readonly concurrency?: string;
}

/** Adds the flags that choose the judge. */
export function addBenchJudgeFlags(command: Command): Command {
  return command
    .option(
      "--judge <who>",
      "http://host:8000/v1 (OpenAI-compatible, with logprobs), an embedded detector, or a folder (default: the benchmark's own)",
    )
    .option("--judge-model <name>", "Model behind an endpoint, as it calls it")
    .option("--judge-key <variable>", "Environment variable with the endpoint's key", "OPENAI_API_KEY")
    .option("--concurrency <n>", "Images that an endpoint is asked about at once", "4");
}

/** @throws USAGE */
export function choiceOf(flags: BenchJudgeFlags): BenchJudgeChoice {
  return {
    judge: flags.judge,
    model: flags.judgeModel,
    apiKeyVariable: flags.judgeKey,
    concurrency: flags.concurrency === undefined ? undefined : parseCount(flags.concurrency, "--concurrency"),
  };
}
