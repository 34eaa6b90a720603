import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Benchmark, type FoundImage, itemKey, type Judge } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { JsonlWriter } from "../io/jsonl.ts";
import { decodePng } from "../io/png.ts";
import { isPlain } from "./evaluation-folder.ts";
import type { ImageSet, SetFacts } from "./image-set.ts";
import { layout } from "./layout.ts";
import { type ResultRow, readResults, toFileRow, writeResults } from "./results.ts";
import type { SampleRecord } from "./sample-job.ts";
import { parseRecord, sha256Of } from "./sample-store.ts";

export interface VerdictLogInput {
  readonly benchmark: Benchmark;
  readonly judge: Judge;
  readonly dir: string;
  readonly facts: SetFacts;
  /** The results file that will be written in the end. */
  readonly out: string;
}

/**
 * Verdicts as they are made, kept beside the results file until that is complete, so that an interrupted judge goes on
 * where it was. A verdict is used again only for the same image bytes, metadata and judge.
 */
export class VerdictLog {
  readonly #known = new Map<string, ResultRow>();
  readonly #input: VerdictLogInput;
  /** Null where nothing can be kept beside the results: they go to a device or a pipe. */
  readonly #partial: string | null;
  #writer: JsonlWriter | null = null;

  private constructor(input: VerdictLogInput) {
    this.#input = input;
    this.#partial = isPlain(input.out) ? `${input.out}.partial` : null;
  }

  static async open(input: VerdictLogInput): Promise<VerdictLog> {
    const log = new VerdictLog(input);
    const { judge, facts, out } = input;
    for (const path of log.#partial === null ? [] : [out, log.#partial]) {
      const earlier = await readResults(path).catch(() => null);
      for (const row of earlier?.rows ?? []) {
        if (row.judge === judge.id && row.expected === facts.expected) log.#known.set(row.filename, row);
      }
    }
    return log;
  }

  /** Verdicts on images of the folder, in order. @throws EVAL_DATA naming an image that cannot be read */
  async judge(images: readonly FoundImage[]): Promise<ResultRow[]> {
    const { benchmark, judge, dir, facts } = this.#input;
    const loaded = await Promise.all(images.map((image) => this.#load(image)));
    const fresh = loaded.filter((entry) => entry.known === null);
    const pixels = await Promise.all(
      fresh.map(({ image, bytes }) => decodeNamed(bytes, join(dir, image.filename))),
    );
    const judged = await judge.judge(
      fresh.map(({ image }, index) => ({ image: pixels[index]!, item: image.item })),
    );
    fresh.forEach((entry, index) => {
      const { correct, reason, atoms, details } = judged[index]!;
      const { item, filename } = entry.image;
      const row: ResultRow = {
        filename,
        tag: item.tag,
        prompt: item.prompt,
        correct,
        reason,
        metadata: item,
        details,
        ...(benchmark.atomsInResults ? { score: benchmark.aggregate(atoms), atoms } : {}),
        judge: judge.id,
        sha256: entry.sha256,
        expected: facts.expected,
        ...(facts.rewardModel === null ? {} : { rewardModel: facts.rewardModel }),
        ...(entry.flops === null ? {} : { flops: entry.flops }),
      };
      if (this.#partial !== null) this.#writer ??= new JsonlWriter(this.#partial);
      this.#writer?.write(toFileRow(row));
      this.#known.set(filename, row);
    });
    return images.map(({ filename }) => this.#known.get(filename)!);
  }

  close(): void {
    this.#writer?.close();
    this.#writer = null;
  }

  /** The results file is written: its working copy is no longer needed. */
  async finish(): Promise<void> {
    this.close();
    if (this.#partial !== null) await rm(this.#partial, { force: true });
  }

  async #load(image: FoundImage) {
    const path = join(this.#input.dir, image.filename);
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      throw new TtsVarError("EVAL_DATA", `cannot read ${path} (${error.code ?? error.message})`, {
        cause: error,
      });
    });
    const sha256 = sha256Of(bytes);
    const record = await readRecord(this.#input.dir, image);
    if (record !== null && record.sha256 !== sha256) {
      throw new TtsVarError(
        "EVAL_DATA",
        `${path} is damaged: it is not the image that its record describes; repeat the command of its evaluation to make it anew`,
      );
    }
    const earlier = this.#known.get(image.filename);
    const same = earlier?.sha256 === sha256 && itemKey(earlier.metadata) === itemKey(image.item);
    return { image, bytes, sha256, flops: record?.spending.total ?? null, known: same ? earlier : null };
  }
}

async function decodeNamed(bytes: Uint8Array, path: string) {
  try {
    return await decodePng(bytes);
  } catch (error) {
    const reason = (error as Error).message.replace("the given bytes: ", "");
    throw new TtsVarError("EVAL_DATA", `${path}: ${reason}; make or fetch the image again`, { cause: error });
  }
}

async function readRecord(dir: string, image: FoundImage): Promise<SampleRecord | null> {
  const path = join(dir, layout.record(image.index, image.sample));
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return null;
  const record = parseRecord(text);
  if (record !== null) return record;
  throw new TtsVarError(
    "EVAL_DATA",
    `${path} is damaged; repeat the command of its evaluation to make the image anew`,
  );
}

export interface JudgeFolderInput extends Omit<VerdictLogInput, "facts"> {
  readonly set: ImageSet;
  readonly signal: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/**
 * Judges the images of a folder and writes the results file, sorted, when all are done.
 *
 * @throws EVAL_DATA for bad images
 */
export async function judgeFolder(input: JudgeFolderInput): Promise<ResultRow[]> {
  const { images } = input.set;
  const log = await VerdictLog.open({ ...input, facts: input.set });
  const rows: ResultRow[] = [];
  const step = 32;
  try {
    for (let from = 0; from < images.length; from += step) {
      input.signal.throwIfAborted();
      rows.push(...(await log.judge(images.slice(from, from + step))));
      input.onProgress?.(rows.length, images.length);
    }
  } finally {
    log.close();
  }
  await writeResults(input.out, rows);
  await log.finish();
  return rows;
}
