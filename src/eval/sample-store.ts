import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { layout } from "./layout.ts";
import type { SampleJob, SampleRecord, SampleResult } from "./sample-job.ts";

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

type Place = Pick<SampleJob, "promptIndex" | "sample" | "round" | "image">;

/** The images and records of an evaluation's searches. Rounds of an adaptive evaluation have files of their own. */
export class SampleStore {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  imagePath({ promptIndex, sample, round, image }: Place): string {
    return join(this.dir, round === null ? image : layout.roundImage(promptIndex, sample, round));
  }

  recordPath({ promptIndex, sample, round }: Place): string {
    const name =
      round === null ? layout.record(promptIndex, sample) : layout.roundRecord(promptIndex, sample, round);
    return join(this.dir, name);
  }

  /**
   * The record of a finished job, or null if it has to be done (again): no record, a damaged one, one of another
   * configuration, or an image that is missing or not the recorded one.
   */
  async load(job: Place & Pick<SampleJob, "configHash" | "seed">): Promise<SampleRecord | null> {
    const text = await readFile(this.recordPath(job), "utf8").catch(() => null);
    const png = await readFile(this.imagePath(job)).catch(() => null);
    if (text === null || png === null) return null;
    const record = parseRecord(text);
    const same = record?.configHash === job.configHash && record.seed === job.seed;
    return same && record.sha256 === sha256Of(png) ? record : null;
  }

  /** Writes the image, then the record: a record on disk means that the image before it is whole. */
  async save(job: Place, result: SampleResult): Promise<void> {
    if (result.png === null) {
      const png = await readFile(this.imagePath(job)).catch(() => null);
      if (png !== null && sha256Of(png) === result.record.sha256) return;
      throw new TtsVarError(
        "OUTPUT_UNWRITABLE",
        `a worker reported ${this.imagePath(job)} as written, but this machine does not see it: ` +
          "the folder is not shared with the workers; use --results queue",
      );
    }
    await writeFileAtomic(this.imagePath(job), Buffer.from(result.png, "base64"));
    await writeJsonAtomic(this.recordPath(job), result.record);
  }
}

/** What is relied on of a record that lies in a folder. */
const recordFile = z.looseObject({
  configHash: z.string(),
  seed: z.string(),
  best: z.string(),
  candidates: z.array(z.looseObject({ id: z.string(), scores: z.record(z.string(), z.number()) })),
  units: z.number(),
  limit: z.number(),
  spending: z.looseObject({ total: z.number() }),
  sha256: z.string(),
});

/** A record file's content; null if it is damaged, or no record of ours. */
export function parseRecord(text: string): SampleRecord | null {
  try {
    const value: unknown = JSON.parse(text);
    return recordFile.safeParse(value).success ? (value as SampleRecord) : null;
  } catch {
    return null;
  }
}
