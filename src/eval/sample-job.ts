import { createHash } from "node:crypto";
import type { SearchRecipe } from "../config/schema.ts";
import type { BenchmarkItem } from "../core/benchmark.ts";
import type { Spending } from "../core/budget.ts";
import { canonicalJson } from "../core/canonical-json.ts";
import type { CandidateId } from "../core/ids.ts";

/** What a job must know of the run's set-up; the same for all jobs of a run. */
export interface JobSetup {
  /** The search's configuration; prompt, seed and metadata are the job's. */
  readonly config: SearchRecipe;
  readonly configHash: string;
  /** Versions of the models the coordinator has; a worker with others must refuse. */
  readonly models: Readonly<Record<string, string>>;
}

/** One search: everything that decides its result, as data. */
export interface SampleJob extends JobSetup {
  readonly promptIndex: number;
  readonly sample: number;
  /** Round of an adaptive evaluation; null otherwise. */
  readonly round: number | null;
  readonly item: BenchmarkItem;
  /** Where the sample's image goes, relative to the evaluation's folder. */
  readonly image: string;
  /** Seed of this search, derived from the run's: see `sampleSeed`. */
  readonly seed: string;
}

/** A finished candidate without its pixels. */
export interface CandidateRecord {
  readonly id: CandidateId;
  readonly parent: CandidateId | null;
  readonly pixelHash: string;
  readonly scores: Readonly<Record<string, number>>;
}

/** What is kept of a search beside its best image. Equal jobs give byte-equal records. */
export interface SampleRecord {
  readonly schemaVersion: 1;
  readonly prompt: string;
  readonly promptIndex: number;
  readonly sample: number;
  readonly round: number | null;
  readonly seed: string;
  readonly configHash: string;
  readonly best: CandidateId;
  readonly candidates: readonly CandidateRecord[];
  readonly units: number;
  readonly limit: number;
  readonly spending: Spending;
  /** SHA-256 of the PNG file of the best candidate. */
  readonly sha256: string;
  /** All rounds of an adaptive evaluation's image, whose best one this record is; `spending` and `units` are sums. */
  readonly rounds?: readonly RoundRecord[];
}

export interface RoundRecord {
  readonly round: number;
  /** Raw score of the round's best candidate. */
  readonly score: number;
  readonly units: number;
}

/** What a job gives back; JSON-safe, so that it can travel between processes and machines. */
export interface SampleResult {
  readonly record: SampleRecord;
  /** The PNG file in base64; null when the worker has written it into the shared folder itself. */
  readonly png: string | null;
  /** Wall time of the search; never part of a result file. */
  readonly seconds: number;
}

/**
 * Seed of one sample. A text that, together with the prompt, keys all its draws: neither the order of the jobs nor the
 * other samples can change it.
 */
export function sampleSeed(seed: number | string, sample: number, round: number | null): string {
  return round === null || round === 0 ? `${seed}/${sample}` : `${seed}/${sample}/${round}`;
}

/** Identity of a job by its content: equal jobs are the same job, whoever submits them. */
export function jobId(job: SampleJob): string {
  const content = [job.configHash, job.models, job.promptIndex, job.sample, job.round, job.item, job.seed];
  return createHash("sha256").update(canonicalJson(content)).digest("hex").slice(0, 40);
}
