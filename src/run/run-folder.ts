import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import type { TraceEvent, TraceSink } from "../core/trace.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { JsonlWriter, readJsonl } from "../io/jsonl.ts";
import { encodePng } from "../io/png.ts";

export const RUN_SCHEMA_VERSION = 1;

export type RunStatus = "running" | "done" | "aborted" | "failed";

/** What a run was, and how it ended: `run.json`. Enough to repeat it. */
export interface RunRecord {
  readonly schemaVersion: typeof RUN_SCHEMA_VERSION;
  readonly command: string;
  readonly status: RunStatus;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly endedAt: string | null;
  /** The resolved configuration, and where each value came from (default, file, flag, --set). */
  readonly config: Readonly<Record<string, unknown>>;
  readonly origins: Readonly<Record<string, string>>;
  /** SHA-256 of the canonical configuration without output settings; equal hashes give equal traces. */
  readonly configHash: string;
  readonly seed: number | string;
  readonly versions: Readonly<Record<string, string>>;
  /** Version (hash of the weights) by model or reward name. */
  readonly models: Readonly<Record<string, string>>;
  readonly error?: { readonly code: string; readonly message: string };
}

export type RunStart = Omit<RunRecord, "schemaVersion" | "status" | "startedAt" | "endedAt" | "error">;

const OWN_FILES = [
  "trace.jsonl",
  "timing.jsonl",
  "candidates.jsonl",
  "metrics.json",
  "best.png",
  "sheet.png",
];

/**
 * Writer of one run's results. `run.json` exists from the first moment with status "running" and is replaced when the
 * run ends, so a folder is valid whenever the program stops.
 */
export class RunFolder {
  readonly dir: string;
  readonly trace: TraceSink;
  #record: RunRecord;
  readonly #trace: JsonlWriter;
  readonly #timing: JsonlWriter;

  private constructor(dir: string, record: RunRecord) {
    this.dir = dir;
    this.#record = record;
    this.#trace = new JsonlWriter(join(dir, "trace.jsonl"));
    this.#timing = new JsonlWriter(join(dir, "timing.jsonl"));
    this.trace = { event: (event: TraceEvent) => this.#trace.write(event) };
  }

  /**
   * Begins a run in `dir`. An earlier run in the same folder is replaced; other files there are left alone.
   *
   * @throws TtsVarError OUTPUT_UNWRITABLE
   */
  static async create(dir: string, start: RunStart): Promise<RunFolder> {
    const target = resolve(dir);
    if (existsSync(join(target, "run.json"))) {
      for (const name of [...OWN_FILES, "images", "bits"])
        await rm(join(target, name), { recursive: true, force: true });
    }
    const record: RunRecord = {
      schemaVersion: RUN_SCHEMA_VERSION,
      ...start,
      status: "running",
      startedAt: new Date().toISOString(),
      endedAt: null,
    };
    await writeJsonAtomic(join(target, "run.json"), record);
    return new RunFolder(target, record);
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Adds the versions of the models that were opened; written with the final status. */
  describeModels(models: Readonly<Record<string, string>>): void {
    this.#record = { ...this.#record, models: { ...this.#record.models, ...models } };
  }

  /** Durations and memory; apart from the trace, which must not depend on time. */
  timing(row: Readonly<Record<string, unknown>>): void {
    this.#timing.write(row);
  }

  /** Writes `images/<id>.png`; returns its path relative to the folder. */
  async image(id: CandidateId, image: RgbImage): Promise<string> {
    const name = `images/${id}.png`;
    await this.file(name, await encodePng(image));
    return name;
  }

  /** Writes any further file of the run, atomically; returns its absolute path. */
  async file(name: string, data: string | Uint8Array): Promise<string> {
    const path = join(this.dir, name);
    await writeFileAtomic(path, data);
    return path;
  }

  /** Writes `candidates.jsonl`, one line per final candidate. */
  async candidates(rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    await this.file("candidates.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  async metrics(metrics: Readonly<Record<string, unknown>>): Promise<void> {
    await writeJsonAtomic(join(this.dir, "metrics.json"), metrics);
  }

  /** Ends the run: closes the streams and writes the status. Calling it again changes nothing. */
  async finish(
    status: Exclude<RunStatus, "running">,
    error?: { code: string; message: string },
  ): Promise<void> {
    if (this.#record.status !== "running") return;
    this.#record = {
      ...this.#record,
      status,
      endedAt: new Date().toISOString(),
      ...(error === undefined ? {} : { error }),
    };
    this.#trace.close();
    this.#timing.close();
    const write = (): Promise<void> => writeJsonAtomic(join(this.dir, "run.json"), this.#record);
    await write().catch(async (failure: unknown) => {
      if (status === "done") throw failure;
      // The disk may be full: the pictures of a run that did not finish are worth less than knowing that it did not.
      await rm(join(this.dir, "images"), { recursive: true, force: true });
      await write();
    });
  }
}

/**
 * Reads `run.json`.
 *
 * @throws TtsVarError EVAL_DATA if it is missing, damaged, or newer than this program
 */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  const path = join(dir, "run.json");
  let record: RunRecord;
  try {
    record = JSON.parse(await readFile(path, "utf8")) as RunRecord;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TtsVarError("EVAL_DATA", `${dir} is not a run folder: run.json cannot be read (${reason})`, {
      cause: error,
    });
  }
  if (record.schemaVersion !== RUN_SCHEMA_VERSION) {
    throw new TtsVarError(
      "EVAL_DATA",
      `${path} has schemaVersion ${record.schemaVersion}; this version of tts-var reads ${RUN_SCHEMA_VERSION}`,
    );
  }
  return record;
}

/** Reads the trace of a run; `tornTail` tells that its last line was cut off. */
export async function readTrace(dir: string): Promise<{ rows: TraceEvent[]; tornTail: boolean }> {
  return readJsonl<TraceEvent>(join(dir, "trace.jsonl"));
}
