import type { Command } from "commander";
import { benchmarkRegistry } from "../../assemble/builtins.ts";
import { TtsVarError } from "../../core/errors.ts";
import { type JudgeFolderFlags, judgeImages } from "../geneval/judge.ts";
import { runBenchmark } from "../geneval/run.ts";
import { benchmarkOf } from "./find.ts";
import { type BenchJudgeFlags, choiceOf } from "./judge-flags.ts";

interface BenchRunFlags extends BenchJudgeFlags {
  readonly layout?: string;
}

/** `bench run` (images, verdicts, table) and `bench generate` (images for the official judge). */
export async function runBench(command: Command, judged: boolean): Promise<void> {
  const flags = command.opts<BenchRunFlags>();
  if (flags.layout === undefined) {
    throw new TtsVarError("USAGE", "--layout NAME is needed: see `tts-var list benchmarks`");
  }
  const benchmark = await benchmarkRegistry.load(flags.layout);
  const { official } = benchmarkRegistry.list().find(({ name }) => name === benchmark.name)!;
  const choice = choiceOf(flags);
  const openJudge = judged
    ? async (signal: AbortSignal) => {
        const { openBenchJudge } = await import("../../assemble/open-bench-judge.ts");
        return openBenchJudge(benchmark, choice, signal);
      }
    : null;
  await runBenchmark(command, { benchmark, openJudge, ...(official ? { next: official } : {}) });
}

/** `bench judge DIR --out FILE`. */
export async function judgeBench(dir: string, flags: BenchRunFlags & JudgeFolderFlags): Promise<void> {
  const benchmark = await benchmarkOf(flags.layout, [dir]);
  const choice = choiceOf(flags);
  const { openBenchJudge } = await import("../../assemble/open-bench-judge.ts");
  await judgeImages(dir, flags, {
    benchmark,
    openJudge: (signal) => openBenchJudge(benchmark, choice, signal),
  });
}
