import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import type { CandidateId } from "../core/ids.ts";
import type { RgbImage } from "../core/image.ts";
import type { TraceEvent, TraceSink } from "../core/trace.ts";
import { outputError, writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import type { Claim } from "../io/claim.ts";
import { JsonlWriter, readJsonl } from "../io/jsonl.ts";
import { openOutputFolder } from "../io/ownership.ts";
import { encodePng } from "../io/png.ts";
import { withTexts } from "../io/png-text.ts";
import { earlierFiles, expectNoInput, removeFiles, STREAMS, standing } from "./run-files.ts";

export const RUN_SCHEMA_VERSION = 1;

export type RunStatus = "running" | "done" | "aborted" | "failed";

/** What a run was, and how it ended: `run.json`. Enough to repeat it. */
export interface RunRecord {
  readonly schemaVersion: typeof RUN_SCHEMA_VERSION;
  /** Tells this file from other programs' files of the same name. */
  readonly program: "tts-var";
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
  /**
   * Files of the run, relative to the folder; each is listed before it is written. A later run in the same folder
   * replaces these, and no others.
   */
  readonly files: readonly string[];
  readonly error?: { readonly code: string; readonly message: string };
}

export type RunStart = Omit<
  RunRecord,
  "schemaVersion" | "program" | "status" | "startedAt" | "endedAt" | "files" | "error"
>;

export interface RunFolderOptions {
  /** Replace what others have written where the run will write. */
  readonly force?: boolean;
  /** Files that the run reads; a folder that would lose one of them is refused. */
  readonly inputs?: readonly string[];
}

/**
 * Writer of one run's results. `run.json` exists from the first moment with status "running" and is replaced when the
 * run ends, so a folder is valid whenever the program stops.
 */
export class RunFolder {
  readonly dir: string;
  readonly trace: TraceSink;
  #record: RunRecord;
  readonly #claim: Claim;
  readonly #trace: JsonlWriter;
  readonly #timing: JsonlWriter;

  private constructor(dir: string, record: RunRecord, claim: Claim) {
    this.dir = dir;
    this.#record = record;
    this.#claim = claim;
    this.#trace = new JsonlWriter(join(dir, "trace.jsonl"), "new");
    this.#timing = new JsonlWriter(join(dir, "timing.jsonl"), "new");
    this.trace = { event: (event: TraceEvent) => this.#trace.write(event) };
  }

  /**
   * Begins a run in `dir`, which belongs to it until `finish`. An earlier run in the same folder is replaced; other files
   * there are left alone.
   *
   * @throws TtsVarError OUTPUT_UNWRITABLE when another run writes there, or files of others are in the way; USAGE when
   *   the run would remove what it reads
   */
  static async create(dir: string, start: RunStart, options: RunFolderOptions = {}): Promise<RunFolder> {
    const target = resolve(dir);
    let earlier: readonly string[] = [];
    let inTheWay: readonly string[] = [];
    const output = { command: start.command, force: options.force ?? false };
    const claim = openOutputFolder(dir && target, output, () => {
      earlier = earlierFiles(target);
      inTheWay = standing(target).filter((name) => !earlier.includes(name));
      return { isOurs: false, inTheWay, continued: [] };
    });
    try {
      expectNoInput(target, [...earlier, ...inTheWay], options.inputs ?? []);
      removeFiles(target, [...earlier, ...inTheWay]);
      const record: RunRecord = {
        schemaVersion: RUN_SCHEMA_VERSION,
        program: "tts-var",
        ...start,
        status: "running",
        startedAt: new Date().toISOString(),
        endedAt: null,
        files: STREAMS,
      };
      await writeJsonAtomic(join(target, "run.json"), record);
      return new RunFolder(target, record, claim);
    } catch (error) {
      claim.release();
      throw outputError(error, target);
    }
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

  /** Writes `images/<id>.png` with the given texts; returns its path relative to the folder. */
  async image(
    id: CandidateId,
    image: RgbImage,
    texts: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const name = `images/${id}.png`;
    await this.file(name, withTexts(await encodePng(image), texts));
    return name;
  }

  /** Lists files in `run.json`, once for many that will be written. */
  async announce(names: readonly string[]): Promise<void> {
    const files = [...new Set([...this.#record.files, ...names])];
    if (files.length === this.#record.files.length) return;
    this.#record = { ...this.#record, files };
    await this.#writeRecord();
  }

  /** Writes any further file of the run, atomically; returns its absolute path. */
  async file(name: string, data: string | Uint8Array): Promise<string> {
    await this.announce([name]);
    const path = join(this.dir, name);
    await writeFileAtomic(path, data);
    return path;
  }

  /** Writes `candidates.jsonl`, one line per final candidate. */
  async candidates(rows: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
    await this.file("candidates.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }

  async metrics(metrics: Readonly<Record<string, unknown>>): Promise<void> {
    await this.file("metrics.json", `${JSON.stringify(metrics, null, 2)}\n`);
  }

  /** Ends the run: closes the streams, writes the status and gives the folder up. Calling it again changes nothing. */
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
    try {
      await this.#writeRecord().catch(async (failure: unknown) => {
        if (status === "done") throw failure;
        // The disk may be full: the pictures of a run that did not finish are worth less than knowing that it did not.
        const pictures = this.#record.files.filter((name) => name.startsWith("images/"));
        removeFiles(this.dir, pictures);
        await this.#writeRecord();
      });
    } finally {
      this.#claim.release();
    }
  }

  #writeRecord(): Promise<void> {
    return writeJsonAtomic(join(this.dir, "run.json"), this.#record);
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
  const known = typeof record?.schemaVersion === "number" && record.schemaVersion !== RUN_SCHEMA_VERSION;
  if (
    !known &&
    (typeof record?.config !== "object" || record.config === null || typeof record.status !== "string")
  ) {
    throw new TtsVarError("EVAL_DATA", `${path} is not of this program: it describes no run of tts-var`);
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
