import { searchArguments, shellLine } from "../config/command-line.ts";
import type { SearchConfig } from "../config/schema.ts";
import { dependent } from "../core/atoms.ts";
import type { Atom } from "../core/benchmark.ts";
import type { CostKind } from "../core/budget.ts";
import { type CandidateId, compareIds, parentOf } from "../core/ids.ts";
import type { TraceEvent } from "../core/trace.ts";
import { readDecisions } from "./decisions.ts";
import { readHistory } from "./search-history.ts";

/** A search as it can be shown, read from its trace and results: plain data, without pictures. */
export interface ReportModel {
  readonly prompt: string;
  readonly negativePrompt: string | null;
  readonly seed: number | string;
  readonly strategy: string;
  readonly model: string;
  readonly reward: string;
  readonly status: string;
  /** Why it did not finish. */
  readonly error: string | null;
  readonly budget: ReportBudget | null;
  readonly stages: readonly ReportStage[];
  readonly best: CandidateId | null;
  readonly finalists: readonly ReportFinalist[];
  /** The line that repeats the search. */
  readonly command: string;
  readonly configHash: string;
  /** Version by model or reward name, and of the program. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface ReportBudget {
  /** Units allowed and spent. */
  readonly units: number;
  readonly spent: number;
  /** FLOPs of a unit. */
  readonly unit: number;
  readonly byKind: Readonly<Partial<Record<CostKind, number>>>;
}

/** What was done and spent after a stage, as `metrics.json` has it. */
export interface StageCost {
  readonly stage: number;
  readonly label: string;
  readonly flops: Readonly<Partial<Record<CostKind, number>>>;
}

export interface ReportStage {
  readonly stage: number;
  readonly label: string;
  /** In the order of lineage: copies stand beside their parents. */
  readonly cells: readonly ReportCell[];
  /** Candidates that went on; finalists at the last stage. */
  readonly kept: number;
  /** What the decisions after the stage said of all: rule, lambda, effective sample size. */
  readonly facts: Readonly<Record<string, string | number>>;
  readonly cost: StageCost | null;
}

/** A candidate after a stage. */
export interface ReportCell {
  readonly id: CandidateId;
  readonly stage: number;
  /** What it continues: itself or its parent in the stage before; null where it began. */
  readonly from: CandidateId | null;
  readonly fate: "answer" | "finished" | "kept" | "dropped";
  readonly score: number | null;
  readonly cluster: number | null;
  /** Numbers that decisions gave it, by name, such as its weight. */
  readonly values: Readonly<Record<string, number>>;
}

export interface ReportFinalist {
  readonly id: CandidateId;
  readonly parent: CandidateId | null;
  readonly scores: Readonly<Record<string, number>>;
  /** Questions that the reward asked of the picture, the answers it expects, and whether they are given. */
  readonly atoms: readonly {
    readonly question: string;
    readonly expected: string;
    readonly holds: boolean;
  }[];
  /** Why it is not right, in the reward's words. */
  readonly reason: string;
}

/** What a report is made of: a run folder's files, or the same of a search that has just ended. */
export interface ReportInput {
  readonly record: {
    readonly status: string;
    readonly config: SearchConfig;
    readonly configHash: string;
    readonly models: Readonly<Record<string, string>>;
    readonly versions: Readonly<Record<string, string>>;
    readonly error?: { readonly message: string };
  };
  readonly events: readonly TraceEvent[];
  readonly candidates: readonly {
    readonly id: CandidateId;
    readonly scores: Readonly<Record<string, number>>;
    /** What the reward found of its questions, if it tells. */
    readonly verdict?: { readonly reason: string; readonly atoms: readonly Atom[] };
  }[];
  readonly budget: ReportBudget | null;
  readonly costs: readonly StageCost[];
}

export function reportModel({ record, events, candidates, budget, costs }: ReportInput): ReportModel {
  const { config } = record;
  const history = readHistory(events, config.reward.name);
  const decisions = readDecisions(events);
  const ids = history.stages.map(({ alive }) => new Set(alive));
  const last = history.stages.length - 1;
  const stages = history.stages.map(({ stage, alive, kept, scores }): ReportStage => {
    const decided = decisions[stage];
    const cells = [...alive].sort(compareIds).map((id): ReportCell => {
      const finished = history.best !== null && stage === last;
      const fate = finished && kept.has(id) ? (id === history.best ? "answer" : "finished") : null;
      return {
        id,
        stage,
        from: origin(id, ids[stage - 1]),
        fate: fate ?? (kept.has(id) ? "kept" : "dropped"),
        score: scores.get(id) ?? null,
        cluster: decided?.clusters.get(id) ?? null,
        values: decided?.values.get(id) ?? {},
      };
    });
    const cost = costs.find((row) => row.stage === stage) ?? null;
    const survivors = cells.filter(({ fate }) => fate !== "dropped").length;
    return { stage, label: cost?.label ?? "", cells, kept: survivors, facts: decided?.facts ?? {}, cost };
  });
  return {
    prompt: config.task.prompt,
    negativePrompt: config.task.negativePrompt ?? null,
    seed: config.task.seed,
    strategy: config.strategy.name,
    model: config.model.name,
    reward: config.reward.name,
    status: record.status,
    error: record.error?.message ?? null,
    budget,
    stages,
    best: history.best,
    finalists: candidates.map(finalistOf),
    command: shellLine(["npx", "tts-var", ...searchArguments(config)]),
    configHash: record.configHash,
    versions: { "tts-var": record.versions["tts-var"] ?? "", ...record.models },
  };
}

/** The candidate of the stage before that this one continues: itself, or the nearest ancestor that was alive. */
function origin(id: CandidateId, before: ReadonlySet<CandidateId> | undefined): CandidateId | null {
  if (before === undefined) return null;
  for (let at: CandidateId | null = id; at !== null; at = parentOf(at)) if (before.has(at)) return at;
  return null;
}

/** An atom counts as holding from this probability on, if those that it depends on hold (see `core/atoms.ts`). */
const LIKELY = 0.5;

function finalistOf({ id, scores, verdict }: ReportInput["candidates"][number]): ReportFinalist {
  const atoms = verdict?.atoms ?? [];
  const ps = atoms.length > 0 ? dependent(atoms) : [];
  return {
    id,
    parent: parentOf(id),
    scores,
    atoms: atoms.map(({ question, expected }, at) => ({ question, expected, holds: ps[at]! >= LIKELY })),
    reason: verdict?.reason ?? "",
  };
}

/** Up to so many candidates of a stage, in their order; those that went on stay when there is no room for all. */
export function chosenCells({ cells }: ReportStage, most: number): readonly ReportCell[] {
  if (cells.length <= most) return cells;
  const rank = { answer: 0, finished: 1, kept: 1, dropped: 2 };
  const chosen = new Set([...cells].sort((a, b) => rank[a.fate] - rank[b.fate]).slice(0, most));
  return cells.filter((cell) => chosen.has(cell));
}
