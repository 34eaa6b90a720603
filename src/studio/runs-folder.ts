import { lstat, readdir, readFile, realpath } from "node:fs/promises";
import { join, parse, relative, resolve, sep } from "node:path";
import { findGenerator } from "../assemble/find-generator.ts";
import { TtsVarError } from "../core/errors.ts";
import { isFolderClaimed } from "../io/claim.ts";
import { tokensName } from "../run/run-files.ts";
import { type RunRecord, readRunRecord, readTrace } from "../run/run-folder.ts";
import type { Origin, Redrawing, Rejection, RunState, RunSummary, RunView } from "./api-types.ts";
import type { Form } from "./form.ts";
import { regionOf } from "./masks.ts";
import { SearchStory } from "./search-story.ts";

/** Longest list of former runs; the newest are shown. */
const MOST_RUNS = 200;

/** The inverse of `previewName`. */
const PREVIEW = /^previews\/(\d+)-(c[\d.]+)\.png$/;

/** Reads the folder of runs, and nothing outside of it: no links are followed, no names with separators taken. */
export class RunsFolder {
  readonly dir: string;
  readonly #form: Form;

  constructor(dir: string, form: Form) {
    this.dir = resolve(dir);
    this.#form = form;
  }

  /** All searches, the newest first. Folders that hold none are passed over. */
  async list(): Promise<RunSummary[]> {
    const entries = await readdir(this.dir, { withFileTypes: true }).catch(() => []);
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const runs = await Promise.all(names.map((id) => this.#summary(id).catch(() => null)));
    return runs
      .filter((run) => run !== null)
      .sort((a, b) => (b.startedAt ?? "").localeCompare(a.startedAt ?? ""))
      .slice(0, MOST_RUNS);
  }

  /** @throws TtsVarError USAGE when there is no such run */
  async view(id: string): Promise<RunView> {
    const record = await this.record(id);
    const story = new SearchStory(configOf(record).reward.name);
    const { rows } = await readTrace(join(this.dir, id)).catch(() => ({ rows: [] }));
    for (const event of rows) story.tell(event);
    for (const name of record.files) {
      const [, stage, candidate] = PREVIEW.exec(name) ?? [];
      if (stage !== undefined && candidate !== undefined) story.seen(Number(stage), candidate, 0);
    }
    return {
      ...(await this.#summary(id)),
      settings: this.#form.settingsOf(record.config),
      from: this.#originOf(record),
      reject: configOf(record).reject ?? [],
      redraw: this.#redrawingOf(record),
      redraws: await canRedraw(configOf(record).model.name),
      stages: story.view([]),
      best: story.best,
      status: "",
      warnings: [],
      error: record.error?.message ?? null,
      files: record.files,
    };
  }

  /** A file that the run has listed. @throws TtsVarError USAGE when it has none of that name */
  async file(id: string, name: string): Promise<Uint8Array> {
    return readFile(await this.path(id, name));
  }

  /** Where a file lies that the run has listed. @throws TtsVarError USAGE when it has none of that name */
  async path(id: string, name: string): Promise<string> {
    const { files } = await this.record(id);
    const parts = name.split("/");
    // The list is a file too, which may have been edited; and what it lists may have become a link.
    const known = parts.every(isName) && ["run.json", ...files].includes(name);
    const real = known ? await realpath(join(this.dir, id, ...parts)).catch(() => null) : null;
    const expected = join(await realpath(this.dir), id, ...parts);
    if (real !== expected) throw missing(`${id} has no file ${name}`);
    return real;
  }

  /** @throws TtsVarError USAGE when there is no such run */
  async record(id: string): Promise<RunRecord> {
    const dir = join(this.dir, id);
    if (!isName(id) || !(await lstat(dir).catch(() => null))?.isDirectory())
      throw missing(`there is no run ${id}`);
    const record = await readRunRecord(dir);
    if (record.program !== "tts-var" || record.command !== "search") throw missing(`${id} is no search`);
    return record;
  }

  /** The file with a candidate's tokens, for a search that goes on from it. @throws TtsVarError USAGE */
  async tokens({ run, candidate }: Origin): Promise<string> {
    return this.path(run, tokensName(candidate));
  }

  /** The candidate that a run went on from, if it is one of this folder. */
  #originOf(record: RunRecord): Origin | null {
    const { keep, keepUntil } = configOf(record).task;
    if (keep === undefined) return null;
    const place = this.#placeOf(keep, "tokens");
    return place && { ...place, stages: keepUntil ?? 0 };
  }

  /** The picture that a run drew a region of anew, if it is one of this folder. */
  #redrawingOf(record: RunRecord): Redrawing | null {
    const { source, mask } = configOf(record).task;
    const region = mask === undefined ? null : regionOf(mask);
    const place = source === undefined ? null : this.#placeOf(source, "images");
    return place && region && { ...place, region };
  }

  /** Run and candidate of a file in one of a run's folders. */
  #placeOf(path: string, kind: "tokens" | "images"): { run: string; candidate: string } | null {
    const [run = "", folder, file = "", ...more] = relative(this.dir, resolve(path)).split(sep);
    if (run === ".." || folder !== kind || more.length > 0) return null;
    return { run, candidate: parse(file).name };
  }

  async #summary(id: string): Promise<RunSummary> {
    const record = await this.record(id);
    const { task, strategy, model, reward, budget } = configOf(record);
    const metrics = await readMetrics(join(this.dir, id, "metrics.json"));
    return {
      id,
      state: stateOf(record, join(this.dir, id)),
      prompt: task.prompt,
      seed: record.seed,
      strategy: strategy.name,
      model: model.name,
      reward: reward.name,
      budget,
      startedAt: record.startedAt,
      endedAt: record.endedAt,
      score: metrics?.score ?? null,
      spent: metrics?.budget?.spent ?? 0,
    };
  }
}

/** One folder's name, on any system. */
export function isName(id: string): boolean {
  return id !== "" && !id.startsWith(".") && !/[/\\:\0]/.test(id) && !id.includes(sep);
}

/** A run that nobody writes any more did not end: its program was killed. */
function stateOf({ status }: RunRecord, dir: string): RunState {
  return status === "running" && !isFolderClaimed(dir) ? "interrupted" : status;
}

interface RecordedConfig {
  readonly task: {
    readonly prompt: string;
    readonly keep?: string;
    readonly keepUntil?: number;
    readonly source?: string;
    readonly mask?: string;
  };
  readonly strategy: { readonly name: string };
  readonly model: { readonly name: string };
  readonly reward: { readonly name: string };
  readonly budget: number;
  readonly reject?: readonly Rejection[];
}

function configOf({ config }: RunRecord): RecordedConfig {
  return config as unknown as RecordedConfig;
}

interface Metrics {
  readonly score?: number;
  readonly budget?: { readonly spent?: number };
}

async function readMetrics(path: string): Promise<Metrics | null> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Metrics;
  } catch {
    return null;
  }
}

/** Models that are gone cannot. */
async function canRedraw(model: string): Promise<boolean> {
  try {
    const { definition } = await findGenerator(model);
    return (await definition.describe({})).can.includes("mask");
  } catch {
    return false;
  }
}

function missing(message: string): TtsVarError {
  return new TtsVarError("USAGE", message);
}
