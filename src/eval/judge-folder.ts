import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { JsonlWriter } from "../io/jsonl.ts";
import { decodePng } from "../io/png.ts";
import { isPlain } from "./evaluation-folder.ts";
import type { Judge } from "./geneval/judge.ts";
import type { ImageSet, SetFacts } from "./image-set.ts";
import { type FoundImage, layout } from "./layout.ts";
import { promptKey, type ResultRow, readResults, toFileRow, writeResults } from "./results.ts";
import type { SampleRecord } from "./sample-job.ts";
import { parseRecord, sha256Of } from "./sample-store.ts";

/**
 * Verdicts as they are made, kept beside the results file until that is complete, so that an interrupted judge goes on
 * where it was. A verdict is used again only for the same image bytes, metadata and judge.
 */
export class VerdictLog {
  readonly #known = new Map<string, ResultRow>();
  readonly #judge: Judge;
  readonly #dir: string;
  readonly #facts: SetFacts;
  /** Null where nothing can be kept beside the results: they go to a device or a pipe. */
  readonly #partial: string | null;
  #writer: JsonlWriter | null = null;

  private constructor(judge: Judge, dir: string, facts: SetFacts, partial: string | null) {
    this.#judge = judge;
    this.#dir = dir;
    this.#facts = facts;
    this.#partial = partial;
  }

  /** @param out the results file that will be written in the end */
  static async open(judge: Judge, dir: string, facts: SetFacts, out: string): Promise<VerdictLog> {
    const plain = isPlain(out);
    const log = new VerdictLog(judge, dir, facts, plain ? `${out}.partial` : null);
    for (const path of plain ? [out, `${out}.partial`] : []) {
      const earlier = await readResults(path).catch(() => null);
      for (const row of earlier?.rows ?? []) {
        if (row.judge === judge.id && row.expected === facts.expected) log.#known.set(row.filename, row);
      }
    }
    return log;
  }

  /** Verdicts on images of the folder, in order. @throws EVAL_DATA naming an image that cannot be read */
  async judge(images: readonly FoundImage[]): Promise<ResultRow[]> {
    const loaded = await Promise.all(images.map((image) => this.#load(image)));
    const fresh = loaded.filter((entry) => entry.known === null);
    const pixels = await Promise.all(
      fresh.map(({ image, bytes }) => decodeNamed(bytes, join(this.#dir, image.filename))),
    );
    const judged = await this.#judge.judge(
      fresh.map(({ image }, index) => ({ image: pixels[index]!, metadata: image.metadata })),
    );
    fresh.forEach((entry, index) => {
      const { verdict, details } = judged[index]!;
      const { metadata, filename } = entry.image;
      const row: ResultRow = {
        filename,
        tag: metadata.tag,
        prompt: metadata.prompt,
        correct: verdict.correct,
        reason: verdict.reason,
        metadata,
        details,
        judge: this.#judge.id,
        sha256: entry.sha256,
        expected: this.#facts.expected,
        ...(this.#facts.rewardModel === null ? {} : { rewardModel: this.#facts.rewardModel }),
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
    const path = join(this.#dir, image.filename);
    const bytes = await readFile(path);
    const sha256 = sha256Of(bytes);
    const record = await readRecord(this.#dir, image);
    if (record !== null && record.sha256 !== sha256) {
      throw new TtsVarError(
        "EVAL_DATA",
        `${path} is damaged: it is not the image that its record describes; run the same \`tts-var geneval run\` again to make it anew`,
      );
    }
    const earlier = this.#known.get(image.filename);
    const same = earlier?.sha256 === sha256 && promptKey(earlier) === promptKey(image);
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
  const path = join(dir, layout.record(image.promptIndex, image.sample));
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return null;
  const record = parseRecord(text);
  if (record !== null) return record;
  throw new TtsVarError(
    "EVAL_DATA",
    `${path} is damaged; run the same \`tts-var geneval run\` again to make the image anew`,
  );
}

export interface JudgeFolderInput {
  readonly dir: string;
  readonly set: ImageSet;
  readonly out: string;
  readonly judge: Judge;
  readonly signal: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/**
 * Judges the images of a folder in GenEval's layout and writes the results file, sorted, when all are done.
 *
 * @throws EVAL_DATA for bad images
 */
export async function judgeFolder(input: JudgeFolderInput): Promise<ResultRow[]> {
  const { images } = input.set;
  const log = await VerdictLog.open(input.judge, input.dir, input.set, input.out);
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
