import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SearchRecipe } from "../config/schema.ts";
import type { FinalCandidate } from "../engine/run-search.ts";
import { readJsonl } from "../io/jsonl.ts";
import { type RewardVerdict, verdictOf } from "./reward-verdict.ts";
import { type RunRecord, readRunRecord } from "./run-folder.ts";

/** What a search was allowed, and what it took. */
export interface SpentBudget {
  /** In units. */
  readonly limit: number;
  readonly spent: number;
  readonly flops: {
    readonly unit: number;
    readonly limit: number;
    readonly total: number;
    readonly byKind: Readonly<Record<string, number>>;
    /** By stage. */
    readonly byScale: readonly number[];
  };
}

/** What `search --json` prints. Stable: scripts rely on it. Paths are absolute. */
export interface SearchSummary {
  readonly schemaVersion: 1;
  readonly prompt: string;
  /** What the prompt was rewritten to. */
  readonly drawn?: string;
  readonly seed: number;
  readonly strategy: string;
  readonly model: string;
  readonly reward: string;
  readonly budget: SpentBudget;
  readonly best: CandidateSummary;
  readonly candidates: readonly CandidateSummary[];
  /** With `keep`: the best-k set, the answer first, and all of it in one picture. */
  readonly bestK?: readonly CandidateSummary[];
  readonly grid?: string;
  readonly runDir: string;
}

export interface CandidateSummary {
  readonly id: string;
  readonly parent: string | null;
  /** By the reward that was searched for, as the reward gave it. */
  readonly score: number;
  readonly image: string;
  readonly pixelHash: string;
  /** What the reward answered of its questions, where it asks any. */
  readonly verdict?: RewardVerdict;
}

/** One line of `candidates.jsonl`; paths are relative to the folder. */
export interface CandidateRow
  extends Pick<FinalCandidate, "id" | "parent" | "scores" | "details" | "pixelHash"> {
  readonly image: string;
  /** File for `--tokens`. */
  readonly tokens: string;
  /** All frames of a clip. */
  readonly frames?: readonly string[];
  /** The clip as an animated PNG. */
  readonly clip?: string;
}

/** `metrics.json`. */
export interface RunMetrics {
  readonly schemaVersion: 1;
  readonly best: string;
  readonly reward: string;
  readonly score: number;
  readonly pixelHash: string;
  readonly candidates: number;
  /** What the prompt was rewritten to. */
  readonly drawn?: string;
  /** Ids of the best-k set. */
  readonly bestK?: readonly string[];
  readonly budget: SpentBudget;
}

/** The summary of a run by what lies in its folder. */
export function summaryOf(
  dir: string,
  { task, strategy, model, reward }: Pick<SearchRecipe, "task" | "strategy" | "model" | "reward">,
  rows: readonly CandidateRow[],
  metrics: RunMetrics,
): SearchSummary {
  const summarise = (id: string, image?: string): CandidateSummary => {
    const row = rows.find((each) => each.id === id)!;
    const { parent, scores, details, pixelHash } = row;
    return {
      id,
      parent,
      score: scores[reward.name]!,
      image: join(dir, image ?? row.image),
      pixelHash,
      ...verdictOf(details[reward.name]),
    };
  };
  return {
    schemaVersion: 1,
    prompt: task.prompt ?? "",
    ...(metrics.drawn === undefined ? {} : { drawn: metrics.drawn }),
    seed: task.seed,
    strategy: strategy.name,
    model: model.name,
    reward: reward.name,
    budget: metrics.budget,
    best: summarise(metrics.best, "best.png"),
    candidates: rows.map(({ id }) => summarise(id)),
    ...(metrics.bestK === undefined
      ? {}
      : { bestK: metrics.bestK.map((id) => summarise(id)), grid: join(dir, "grid.png") }),
    runDir: dir,
  };
}

/** What a run folder says of itself; null where no finished run is. */
export async function readSummary(
  dir: string,
): Promise<{ readonly record: RunRecord; readonly summary: SearchSummary } | null> {
  const record = await readRunRecord(dir).catch(() => null);
  if (record?.status !== "done") return null;
  try {
    const metrics = JSON.parse(await readFile(join(dir, "metrics.json"), "utf8")) as RunMetrics;
    const { rows } = await readJsonl<CandidateRow>(join(dir, "candidates.jsonl"));
    return { record, summary: summaryOf(dir, record.config as unknown as SearchRecipe, rows, metrics) };
  } catch {
    // Somebody has tidied up; it is made again.
    return null;
  }
}
