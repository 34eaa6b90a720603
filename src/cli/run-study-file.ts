import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { openStudy } from "../assemble/open-study.ts";
import { readYamlFile } from "../config/read-yaml.ts";
import { Disposal, holding } from "../core/disposal.ts";
import { parseCount } from "../eval/geneval/prompt-source.ts";
import { readJsonl } from "../io/jsonl.ts";
import type { Progress } from "../run/progress.ts";
import type { ModelTable } from "../study/model-looks.ts";
import { modelsTable, writeModelsReport } from "../study/models-report.ts";
import { runStudy } from "../study/run-study.ts";
import { parseStudy, type StudyConfig } from "../study/study-config.ts";
import { claimStudy } from "../study/study-folder.ts";
import { lookPrices, spentAfter } from "../study/study-plan.ts";
import { parseRecord, recordOf } from "../study/study-record.ts";
import { describeTable, recordFile, writeReport } from "../study/study-report.ts";
import { openStudyStore } from "../study/study-store.ts";
import type { StudyTable } from "../study/study-table.ts";
import { pluginHost } from "./plugin-host.ts";

/** What a study found: its table as Markdown and as values. */
export interface StudyOutcome {
  readonly markdown: string;
  readonly table: object;
}

export interface StudyRun {
  readonly jobs?: string;
  readonly generators?: string;
  readonly threads?: string;
  readonly force?: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  status(text: string): void;
}

/** Where settings of a study are in its file. */
type LineOf = (path: string) => number | undefined;

/**
 * Runs or continues the study of a file in a folder: once, or once for each of its models in folders below.
 *
 * @throws CONFIG_INVALID, EVAL_DATA, OUTPUT_UNWRITABLE and what models and plug-ins throw
 */
export async function runStudyFile(file: string, dir: string, run: StudyRun): Promise<StudyOutcome> {
  const { tree, lineOf } = await readYamlFile(file, "study", "configs/studies has some");
  const config = parseStudy(tree, file, lineOf);
  const claim = claimStudy(dir, { command: "study run", force: run.force ?? false });
  return holding([claim], async () => {
    if (!config.models) return outcomeOf(await runInFolder(config, file, dir, lineOf, run));
    const tables: ModelTable[] = [];
    for (const model of config.models) {
      const { models: _, ...common } = config;
      const { model: shared } = common.search;
      // A study may give all its models the same settings.
      const named = typeof shared === "object" && shared !== null ? { ...shared, name: model } : model;
      const own = { ...common, search: { ...common.search, model: named } };
      const status = (text: string): void => run.status(`${model}: ${text}`);
      const folder = join(dir, basename(model));
      const ownClaim = claimStudy(folder, { command: "study run", force: run.force ?? false });
      const table = await holding([ownClaim], () =>
        runInFolder(own, file, folder, lineOf, { ...run, status }),
      );
      tables.push({ model, table });
    }
    const markdown = await writeModelsReport(dir, config, tables, { command: commandOf(file) });
    return { markdown, table: modelsTable(tables) };
  });
}

/**
 * Writes the reports of a study's folder again, from its answers alone.
 *
 * @throws EVAL_DATA when the folder holds no answers
 */
export async function reportAgain(dir: string): Promise<StudyOutcome> {
  const claim = claimStudy(dir, { command: "study report", force: false });
  return holding([claim], async () => {
    const several = await modelsOf(dir);
    if (!several) return outcomeOf(await reportFolder(dir));
    const { config, command } = several;
    const tables: ModelTable[] = [];
    for (const model of config.models!) {
      const folder = join(dir, basename(model));
      const ownClaim = claimStudy(folder, { command: "study report", force: false });
      tables.push({ model, table: await holding([ownClaim], () => reportFolder(folder)) });
    }
    const markdown = await writeModelsReport(dir, config, tables, { command });
    return { markdown, table: modelsTable(tables) };
  });
}

async function runInFolder(
  config: StudyConfig,
  file: string,
  dir: string,
  lineOf: LineOf,
  { jobs, generators: copies, threads, progress, signal, status }: StudyRun,
): Promise<StudyTable> {
  const count = (text: string | undefined, flag: string) =>
    text === undefined ? undefined : parseCount(text, flag);
  const owned = new Disposal();
  return owned.during(async () => {
    const { parts, plan, generators } = await openStudy(
      config,
      {
        threads: count(threads, "--threads"),
        generators: count(copies, "--generators"),
        hostOf: (allowDownload) => pluginHost(allowDownload, progress),
        placeOf: (path) => [file, ...[lineOf(path) ?? []].flat()].join(":"),
      },
      owned,
    );
    const store = await openStudyStore(dir, config, parts, plan.arms);
    try {
      const { trees, cells } = await runStudy(plan, parts, store, {
        jobs: count(jobs, "--jobs") ?? generators + 1,
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
      const record = recordOf(
        trees,
        cells,
        parts.primaryReward,
        spentAfter(plan, parts),
        lookPrices(plan, parts),
      );
      return await writeReport(dir, config, record, { command: commandOf(file), versions });
    } finally {
      store[Symbol.dispose]();
      await owned[Symbol.asyncDispose]();
    }
  });
}

async function reportFolder(dir: string): Promise<StudyTable> {
  const path = join(dir, recordFile);
  const { rows } = await readJsonl<unknown>(path);
  const { config, facts, ...record } = parseRecord(rows, path);
  return writeReport(dir, parseStudy(config, path), record, facts);
}

/** The study over several models that filled a folder; null for one of one model. */
async function modelsOf(dir: string): Promise<{ config: StudyConfig; command: string } | null> {
  const path = join(dir, "table.json");
  if (existsSync(join(dir, recordFile)) || !existsSync(path)) return null;
  const { config, command } = JSON.parse(await readFile(path, "utf8")) as {
    config: unknown;
    command: string;
  };
  return typeof config === "object" && config !== null && "models" in config
    ? { config: parseStudy(config, path), command }
    : null;
}

function commandOf(file: string): string {
  return `tts-var study run ${file}`;
}

function outcomeOf(table: StudyTable): StudyOutcome {
  return { markdown: describeTable(table), table };
}
