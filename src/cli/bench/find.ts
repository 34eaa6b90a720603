import { benchmarkRegistry } from "../../assemble/builtins.ts";
import type { Benchmark } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { readEvaluation } from "../../eval/evaluation-record.ts";

/** The benchmark named by `--layout`, or the one whose images a folder holds. @throws USAGE, PLUGIN_UNKNOWN */
export async function benchmarkOf(layout: string | undefined, paths: readonly string[]): Promise<Benchmark> {
  if (layout !== undefined) return benchmarkRegistry.load(layout);
  for (const path of paths) {
    const record = await readEvaluation(path).catch(() => null);
    if (record) return benchmarkRegistry.load(record.benchmark ?? "geneval");
  }
  throw new TtsVarError(
    "USAGE",
    `${paths.join(", ")}: no folder of an evaluation, so --layout NAME has to say which benchmark it is (tts-var list benchmarks)`,
  );
}
