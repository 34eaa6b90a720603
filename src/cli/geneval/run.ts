import { join } from "node:path";
import type { Command } from "commander";
import { partsOpener } from "../../assemble/open-parts.ts";
import { configHash } from "../../config/resolve.ts";
import type { SearchRecipe } from "../../config/schema.ts";
import type { Benchmark, Judge } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { claimEvaluation } from "../../eval/evaluation-folder.ts";
import { type AdaptiveSettings, type EvaluationRecord, hashPrompts } from "../../eval/evaluation-record.ts";
import { geneval } from "../../eval/geneval/benchmark.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";
import { layout } from "../../eval/layout.ts";
import { runEvaluation } from "../../eval/run-evaluation.ts";
import { modelVersions, SampleRunner } from "../../eval/run-sample.ts";
import { seconds } from "../../run/clock.ts";
import { resolveRecipeFlags } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";
import { describeAllocation, readAllocation } from "./allocation.ts";
import { type BackendOptions, checkBackend, openBackend } from "./backend.ts";
import { type JudgeFlags, openJudgeOf } from "./judge-flags.ts";
import { showEvaluation } from "./live-status.ts";
import { summarizeRows } from "./summarize.ts";

/** Flags of runs and generations beside those of a search and a judge. */
interface RunFlags {
  readonly prompts: string;
  readonly promptSeed: string;
  readonly samples: string;
  readonly workers?: string;
  readonly queue?: string;
  readonly queueName?: string;
  readonly results: string;
  readonly adaptive?: boolean;
  readonly round?: string;
  readonly stopAt?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `geneval run` (images, verdicts, table) and `geneval generate` (images only). */
export async function runGeneval(command: Command, judged: boolean): Promise<void> {
  const flags = command.opts<JudgeFlags>();
  const openJudge = judged ? () => openJudgeOf(flags) : null;
  await runBenchmark(command, { benchmark: geneval, openJudge });
}

/** What is run: a benchmark, and who judges its images. */
export interface BenchmarkRun {
  readonly benchmark: Benchmark;
  /** Null: make images only. */
  readonly openJudge: ((signal: AbortSignal) => Promise<Judge>) | null;
  /** What is to be done with the images, for people. */
  readonly next?: string;
}

/** Makes the images of a benchmark's items, judges them if asked to, and prints what came of it. */
export async function runBenchmark(
  command: Command,
  { benchmark, openJudge, next }: BenchmarkRun,
): Promise<void> {
  const flags = command.opts<RunFlags>();
  const interrupts = watchInterrupts();
  const progress = createProgress(flags.quiet ?? false);
  try {
    const { config: given } = await resolveRecipeFlags(command);
    const { out } = given;
    const { seed } = given.task;
    if (given.task.prompt !== undefined) {
      throw new TtsVarError(
        "USAGE",
        "--prompt is not for evaluations: the prompts are the benchmark's (--prompts)",
      );
    }
    if (out === undefined) throw new TtsVarError("USAGE", "--out DIR is needed: the folder of the images");
    const prompts = await benchmark.items(flags.prompts, flags.promptSeed);
    const samples = parseSamples(flags.samples, benchmark);
    const images = prompts.length * samples;
    const adaptive = adaptiveSettings(flags, given, images);
    const config: SearchRecipe = {
      ...withoutOutput(given),
      task: { ...given.task, seed: 0 },
      budget: adaptive?.roundUnits ?? given.budget,
    };
    const hash = configHash(config);
    const where: BackendOptions = {
      ...(flags.workers === undefined ? {} : { workers: parseWorkers(flags.workers) }),
      ...(flags.queue === undefined ? {} : { queue: flags.queue }),
      ...(flags.queueName === undefined ? {} : { queueName: flags.queueName }),
      results: parseResults(flags.results),
    };
    checkBackend(where);
    using _claim = claimEvaluation(
      out,
      { benchmark, prompts, samples },
      { command: `${command.parent?.name() ?? ""} ${command.name()}`, force: flags.force ?? false },
    );

    const judge = (await openJudge?.(interrupts.signal)) ?? null;
    const runner = new SampleRunner(
      partsOpener((allowDownload) => pluginHost(allowDownload, progress)),
      seconds,
    );
    progress.status("loading the models");
    const parts = await runner.open({ config, configHash: hash });
    if (adaptive && parts.reward.among) {
      throw new TtsVarError(
        "USAGE",
        `--adaptive compares scores of different searches, but ${parts.reward.name} only ranks the candidates of one; use weighted`,
      );
    }
    const record: EvaluationRecord = {
      schemaVersion: 1,
      ...(benchmark.name === geneval.name ? {} : { benchmark: benchmark.name }),
      configHash: hash,
      config,
      models: modelVersions(parts),
      rewardModel: parts.reward.modelId ?? null,
      seed,
      prompts: prompts.length,
      promptsHash: hashPrompts(prompts),
      samples,
      adaptive,
    };
    const reward = { name: config.reward.name, direction: parts.reward.direction };
    await using backend = await openBackend(where, images, out, runner, progress, interrupts.signal);
    progress.line(
      `${prompts.length} prompts x ${samples} samples with ${config.strategy.name}, ${backend.description}`,
    );
    const rows = await runEvaluation({
      benchmark,
      dir: out,
      record,
      prompts,
      backend,
      judge,
      reward,
      signal: interrupts.signal,
      onProgress: showEvaluation(progress, seconds, benchmark),
    });
    await judge?.[Symbol.asyncDispose]();
    progress.end();
    if (rows === null) {
      const allocation = await readAllocation(out, record);
      if (flags.json) {
        const made = { schemaVersion: 1, dir: out, prompts: prompts.length, samples, images };
        printJson({ ...made, ...(allocation === null ? {} : { allocation }) });
      } else {
        printResult(`${images} images in ${out}`);
        if (allocation !== null) printResult(describeAllocation(allocation));
        if (next !== undefined) printResult(next.replaceAll("DIR", out));
      }
    } else {
      progress.line(`verdicts: ${join(out, layout.results)}`);
      await summarizeRows(
        { rows, tornTail: false },
        { benchmark, dir: out, json: flags.json ?? false, allowPartial: false },
      );
    }
  } finally {
    progress.end();
    interrupts.stop();
  }
}

/** @throws USAGE for a number that the benchmark's files cannot hold */
function parseSamples(text: string, { title, layout: { samples } }: Benchmark): number {
  const count = parseCount(text, "--samples");
  if (!samples || samples.includes(count)) return count;
  throw new TtsVarError(
    "USAGE",
    `--samples ${text}: files of ${title} hold ${samples.join(", ")} images a prompt`,
  );
}

function withoutOutput({ out: _out, ...config }: SearchRecipe): SearchRecipe {
  return config;
}

function parseResults(text: string): BackendOptions["results"] {
  if (text === "queue" || text === "shared") return text;
  throw new TtsVarError("USAGE", `--results ${text}: must be queue or shared`);
}

function parseWorkers(text: string): number {
  return text === "0" ? 0 : parseCount(text, "--workers");
}

/** `--adaptive`: `--budget` units per image on average, given out in rounds. @throws USAGE */
function adaptiveSettings(flags: RunFlags, config: SearchRecipe, images: number): AdaptiveSettings | null {
  if (!flags.adaptive) {
    if (flags.round !== undefined || flags.stopAt !== undefined) {
      throw new TtsVarError("USAGE", "--round and --stop-at belong to --adaptive");
    }
    return null;
  }
  const roundUnits = flags.round === undefined ? Math.max(1, config.budget / 4) : Number(flags.round);
  if (!(roundUnits >= 1 && roundUnits <= config.budget)) {
    throw new TtsVarError(
      "USAGE",
      `--round ${flags.round}: must be a number of units from 1 to the budget, ${config.budget}`,
    );
  }
  const stopAt = flags.stopAt === undefined ? null : Number(flags.stopAt);
  if (Number.isNaN(stopAt)) throw new TtsVarError("USAGE", `--stop-at ${flags.stopAt}: must be a score`);
  return { totalUnits: config.budget * images, roundUnits, stopAt };
}
