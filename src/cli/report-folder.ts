import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { itemKey } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { layout } from "../eval/layout.ts";
import { type ResultRow, readResults } from "../eval/results.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { readJsonl } from "../io/jsonl.ts";
import { openOutputFolder } from "../io/ownership.ts";
import { type IndexItem, type IndexModel, renderIndex } from "../report/index-page.ts";
import { renderReport } from "../report/render-report.ts";
import { readReport } from "../run/read-report.ts";
import { readRunRecord } from "../run/run-folder.ts";
import { REPORT_FILE } from "../run/write-report.ts";
import { parseRecord } from "../study/study-record.ts";
import { recordFile } from "../study/study-report.ts";

/** By which a page is known to be ours. */
const OURS = '<meta name="generator" content="tts-var">';

export interface ReportOptions {
  readonly against: string | undefined;
  readonly force: boolean;
}

/**
 * Writes `report.html` into a folder of a search, a GenEval run or a study.
 *
 * @returns its path
 * @throws TtsVarError EVAL_DATA for other folders, OUTPUT_UNWRITABLE where somebody else's page stands or a run still writes
 */
export async function reportOn(dir: string, { against, force }: ReportOptions): Promise<string> {
  const isRun = existsSync(join(dir, "run.json"));
  const page = isRun ? await pageOfRun(dir) : renderIndex(await indexOf(dir, against));
  const path = join(dir, REPORT_FILE);
  using _claim = openOutputFolder(resolve(dir), { command: "report", force }, () => ({
    isOurs: !existsSync(path) || readFileSync(path, "utf8").includes(OURS),
    inTheWay: [REPORT_FILE],
    continued: [],
  }));
  if (isRun) {
    // Listed first, so that a later run in the folder knows it as its own.
    const record = await readRunRecord(dir);
    const files = [...new Set([...record.files, REPORT_FILE])];
    await writeJsonAtomic(join(dir, "run.json"), { ...record, files });
  }
  await writeFileAtomic(path, page);
  return path;
}

async function pageOfRun(dir: string): Promise<string> {
  const { model, pictures } = await readReport(dir);
  return renderReport(model, pictures);
}

async function indexOf(dir: string, against: string | undefined): Promise<IndexModel> {
  if (existsSync(join(dir, layout.results))) return indexOfResults(dir, against);
  if (existsSync(join(dir, recordFile))) return indexOfStudy(dir);
  throw new TtsVarError(
    "EVAL_DATA",
    `${dir} holds no search (run.json), no judged GenEval run (${layout.results}; see \`tts-var geneval judge\`) and no study (${recordFile})`,
  );
}

/** All images of a judged set, and of another one of the same prompts beside it. */
async function indexOfResults(dir: string, against: string | undefined): Promise<IndexModel> {
  const dirs = [dir, ...(against === undefined ? [] : [against])];
  const sets = await Promise.all(
    dirs.map(async (folder) => keyed((await readResults(join(folder, layout.results))).rows)),
  );
  const keys = [...new Set(sets.flatMap((rows) => [...rows.keys()]))];
  const items = keys.map((key): IndexItem => {
    const rows = sets.map((set) => set.get(key) ?? null);
    const { prompt, tag } = rows.find((row) => row !== null)!;
    const outcomes = rows.map(
      (row, at) =>
        row && { passed: row.correct, reason: row.reason, image: addressOf(dir, dirs[at]!, row.filename) },
    );
    return { title: prompt, tag, outcomes };
  });
  const runs = uniqueNames(dirs);
  const about = `${items.length} images${against === undefined ? "" : `, compared with ${runs[1]} by prompt and sample`}.`;
  return { title: `GenEval: ${runs[0]}`, about, runs, items };
}

/** Rows by prompt and sample, as they come: samples of a prompt stand in order. */
function keyed(rows: readonly ResultRow[]): Map<string, ResultRow> {
  const counts = new Map<string, number>();
  return new Map(
    rows.map((row) => {
      const item = itemKey(row.metadata);
      const sample = counts.get(item) ?? 0;
      counts.set(item, sample + 1);
      return [`${item} ${sample}`, row] as const;
    }),
  );
}

/** Address of an image relative to the page; images elsewhere than in the set's own folder are not shown. */
function addressOf(page: string, dir: string, filename: string): string | null {
  const path = resolve(dir, filename);
  if (relative(resolve(dir), path).startsWith("..")) return null;
  const parts = relative(resolve(page), path).split(/[/\\]/);
  return parts.map(encodeURIComponent).join("/");
}

/** Prompts and replicates of a study with the verdict of each arm. */
async function indexOfStudy(dir: string): Promise<IndexModel> {
  const { trees, cells, facts } = parseRecord((await readJsonl(join(dir, recordFile))).rows, dir);
  const runs = [...new Set(cells.map(({ arm, units }) => `${arm} at ${units}`))];
  const at = new Map(runs.map((name, index) => [name, index]));
  const items = new Map(
    trees.map(({ prompt, replicate, tag }) => {
      const title = `prompt ${prompt}, replicate ${replicate}`;
      const outcomes: IndexItem["outcomes"][number][] = runs.map(() => null);
      return [`${prompt} ${replicate}`, { title, tag, outcomes }] as const;
    }),
  );
  for (const { arm, units, prompt, replicate, correct } of cells) {
    const item = items.get(`${prompt} ${replicate}`);
    if (item) item.outcomes[at.get(`${arm} at ${units}`)!] = { passed: correct, reason: "", image: null };
  }
  return {
    title: `Study: ${basename(resolve(dir))}`,
    about: facts.command,
    runs,
    items: [...items.values()],
  };
}

/** Names of folders by which they can be told apart. */
function uniqueNames(dirs: readonly string[]): string[] {
  const short = dirs.map((dir) => basename(resolve(dir)));
  return new Set(short).size === short.length ? short : dirs.map((dir, at) => `${short[at]} (${dir})`);
}
