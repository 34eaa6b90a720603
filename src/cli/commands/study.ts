import { readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { Command } from "commander";
import { readYaml } from "../../config/read-yaml.ts";
import { Disposal } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import { loadPrompts, parseCount } from "../../eval/geneval/prompt-source.ts";
import type { Progress } from "../../run/progress.ts";
import type { StudyConfig } from "../../study/study-config.ts";
import type { StudyArm, StudyParts, StudyPlan } from "../../study/study-plan.ts";
import { addForceFlag } from "../flags.ts";
import { openJudgeOf } from "../geneval/judge-flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var study run configs/studies/smoke.yaml
  $ tts-var study run configs/studies/strategies.yaml --jobs 4 --out results

Draws one tree of whole images per prompt and replicate, decides on it offline every strategy that never copies, runs the
others live, and judges all answers. An interrupted study continues where it stopped. Writes
<out>/<name>/{table.json,table.md,scores.svg,previews.svg,README.md}.`;

interface RunOptions {
  readonly out: string;
  readonly jobs?: string;
  readonly generators?: string;
  readonly threads?: string;
  readonly force?: boolean;
  readonly json?: boolean;
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
        const progress = createProgress(options.quiet ?? false);
        const { table, dir } = await runStudyFile(file, options, progress, interrupts.signal);
        const { describeTable } = await import("../../study/study-report.ts");
        if (options.json) printJson({ schemaVersion: 1, dir, ...table });
        else printResult(`${describeTable(table)}\n${join(dir, "README.md")}`);
      } finally {
        interrupts.stop();
      }
    });
}

async function runStudyFile(file: string, options: RunOptions, progress: Progress, signal: AbortSignal) {
  const { parseStudy } = await import("../../study/study-config.ts");
  const { runStudy } = await import("../../study/run-study.ts");
  const { tabulate } = await import("../../study/study-table.ts");
  const { writeReport } = await import("../../study/study-report.ts");
  const { controlRules } = await import("../../study/controls.ts");
  const { openStudyStore } = await import("../../study/study-store.ts");
  const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new TtsVarError("CONFIG_NOT_FOUND", `cannot read the study ${file} (${cause.code})`, { cause });
  });
  const config = parseStudy(readYaml(text, file).value, file);
  const name = basename(file, extname(file));
  const dir = join(options.out, name);
  const { claimStudy } = await import("../../study/study-folder.ts");
  using _claim = claimStudy(dir, { command: "study run", force: options.force ?? false });
  const owned = new Disposal();
  return await owned.during(async () => {
    const { parts, plan, generators } = await openStudy(config, options, owned, progress);
    const store = await openStudyStore(dir, config, parts, plan.arms);
    try {
      const { trees, cells } = await runStudy(plan, parts, store, {
        jobs: options.jobs === undefined ? generators + 1 : parseCount(options.jobs, "--jobs"),
        signal,
        onProgress: (what, done, of) => progress.status(`${done} of ${of} ${what}`),
      });
      const table = tabulate(trees, cells, {
        ...config,
        primaryReward: parts.primaryReward,
        controls: controlRules(config),
      });
      const { generator, rewards, features, judge } = parts;
      const versions = {
        model: `${generator.name}@${generator.version}`,
        ...Object.fromEntries(
          Object.entries(rewards).map(([key, { version }]) => [`reward ${key}`, version]),
        ),
        ...(features ? { features: `${features.name}@${features.version}` } : {}),
        judge: judge.id,
      };
      await writeReport(dir, config, table, { command: `tts-var study run ${file}`, versions });
      return { table, dir };
    } finally {
      store[Symbol.dispose]();
      await owned[Symbol.asyncDispose]();
    }
  });
}

async function openStudy(
  config: StudyConfig,
  { threads, generators: copies }: RunOptions,
  owned: Disposal,
  progress: Progress,
): Promise<{ parts: StudyParts; plan: StudyPlan; generators: number }> {
  const { searchSchema } = await import("../../config/schema.ts");
  const { expandNames } = await import("../../config/load.ts");
  const { openCopies } = await import("../../assemble/open-copies.ts");
  const { planConfig } = await import("../../assemble/open-search.ts");
  const { resolveSettings } = await import("../../generators/settings.ts");
  const { openFeatures } = await import("../../assemble/open-features.ts");
  const { rewardRegistry, strategyRegistry } = await import("../../assemble/builtins.ts");
  const { loadReward } = await import("../../plugins/load-reward.ts");
  const { loadStrategy } = await import("../../plugins/load-strategy.ts");
  const { createScoring } = await import("../../scoring/create-scoring.ts");
  const settings = {
    ...config.search,
    prompt: "any prompt",
    strategy: "single",
    budget: 1,
    ...(threads === undefined ? {} : { threads: parseCount(threads, "--threads") }),
  };
  expandNames(settings as never);
  const parseSearch = (value: unknown, where: string) => {
    const parsed = searchSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    const problems = parsed.error.issues.map(({ path, message }) => `${where}.${path.join(".")}: ${message}`);
    throw new TtsVarError("CONFIG_INVALID", problems.join("; "), { details: { problems } });
  };
  const search = parseSearch(settings, "search");
  const host = pluginHost(search.allowDownload, progress);
  const planned = await planConfig(search, host);
  const count = copies === undefined ? undefined : parseCount(copies, "--generators");
  const { generators, ...open } = await openCopies(planned, count, owned);
  const rewards = { [search.reward.name]: open.reward };
  for (const [key, { name, options }] of Object.entries(config.rewards)) {
    const { value } = await loadReward(name, options, { ...host, registry: rewardRegistry });
    rewards[key] = owned.use(createScoring(value, { options }));
  }
  const arms: StudyArm[] = [];
  for (const arm of config.arms) {
    const where = { registry: strategyRegistry, baseDir: host.baseDir };
    const { value } = await loadStrategy(arm.strategy.name, arm.strategy.options, where);
    const own = parseSearch(
      {
        ...settings,
        sampling: { ...search.sampling, ...arm.sampling },
        features: { ...search.features, ...arm.features },
      },
      `arms.${arm.name}`,
    );
    arms.push({
      name: arm.name,
      search: value.search,
      options: value.options,
      budgets: arm.budgets ?? config.budgets,
      live: arm.live,
      ...(arm.sampling
        ? {
            settings: resolveSettings(
              planned.generator.defaults,
              own.sampling,
              planned.generator.scales.length,
            ),
          }
        : {}),
      ...(arm.features ? { features: owned.use(await openFeatures(own.features, host)) } : {}),
    });
  }
  const judge = owned.use(await openJudgeOf({ judge: config.judge }));
  const features = owned.use(await openFeatures(search.features, host));
  const { h, w } = open.generator.latent;
  const previews = config.tree.previews.map((fraction) =>
    fraction === 1
      ? null
      : { h: Math.max(1, Math.round(h * fraction)), w: Math.max(1, Math.round(w * fraction)) },
  );
  return {
    parts: {
      generator: open.generator,
      rewards,
      primaryReward: search.reward.name,
      features,
      settings: planned.settings,
      calibration: planned.calibration,
      judge,
    },
    plan: {
      seed: config.seed,
      prompts: await loadPrompts(String(config.prompts.count), config.prompts.seed),
      replicates: config.replicates,
      tree: { ...config.tree, previews },
      finalRewards: config.finalRewards,
      reliabilities: config.reliabilities,
      arms,
    },
    generators,
  };
}
