import { Budget, type Spending } from "../core/budget.ts";
import type { Calibration } from "../core/calibration.ts";
import { finish, turns } from "../core/drive.ts";
import { TtsVarError } from "../core/errors.ts";
import { type Generator, type Picture, stillOf } from "../core/generator.ts";
import { type CandidateId, parentOf } from "../core/ids.ts";
import { framesHash, pixelHash, type RgbImage } from "../core/image.ts";
import { Ledger } from "../core/ledger.ts";
import type { Population, SearchOutcome } from "../core/program.ts";
import type { Reward } from "../core/reward.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { Task } from "../core/task.ts";
import type { Tokens } from "../core/tokens.ts";
import type { TraceSink } from "../core/trace.ts";
import { beginEvent, endEvent, eventOf } from "./events.ts";
import type { FeatureSource } from "./feature-source.ts";
import { ModelsWitness } from "./models-witness.ts";
import type { ProgressEvent, SearchTimer } from "./observer.ts";
import { createSpace, type PlanInput, type PlanRow, planSearch, type SearchPlan } from "./plan.ts";

export interface SearchInput {
  readonly generator: Generator;
  readonly strategy: SearchFunction;
  /** All rewards that the strategy may ask for, by name. */
  readonly rewards: Readonly<Record<string, Reward>>;
  /** The reward of `--reward`: scores the finalists, and is part of the unit. */
  readonly primaryReward: string;
  readonly features: FeatureSource | null;
  readonly task: Task;
  /** `--budget`. */
  readonly units: number;
  readonly calibration: Calibration | null;
  /** What the search was planned with; default: it is planned now. */
  readonly plan?: SearchPlan;
  /** Name and options of the strategy, for the trace. */
  readonly describe?: { readonly strategy: string; readonly options: unknown };
  readonly trace?: TraceSink;
  readonly timing?: SearchTimer;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: ProgressEvent) => void;
  readonly log?: (level: "debug" | "info" | "warn", message: string) => void;
}

/** A finished candidate. */
export interface FinalCandidate {
  readonly id: CandidateId;
  /** The candidate it was copied from, null for roots. */
  readonly parent: CandidateId | null;
  /** The picture; of a clip its middle frame. */
  readonly image: RgbImage;
  readonly picture: Picture;
  readonly pixelHash: string;
  /** Its tokens by stage: kept in another task, they give the same picture. */
  readonly tokens: readonly Tokens[];
  /** Raw scores of the full-size image by reward. */
  readonly scores: Readonly<Record<string, number>>;
  /** Explanations by reward, where it gave any. */
  readonly details: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface SearchResult {
  /** What was searched for, as the generator and the rewards had it. */
  readonly task: Task;
  readonly best: FinalCandidate;
  /** The finalists, in the order of the last population. */
  readonly candidates: readonly FinalCandidate[];
  readonly spending: Spending;
  /** What was done and spent by stage and kind. */
  readonly stages: readonly PlanRow[];
  /** FLOPs allowed, and the same in units. */
  readonly limit: number;
  readonly units: number;
  readonly plan: SearchPlan;
}

/** What a plan and a replay need of a search. */
export function planInputOf({ generator, task, ...others }: SearchInput): PlanInput {
  const keep = task.keep?.length ?? 0;
  const prompts = 1 + (task.promptAt?.length ?? 0);
  return { ...others, generator: generator.traits, seed: task.seed, prompt: task.prompt, keep, prompts };
}

/**
 * Runs one search: drives the strategy's program, answering every action with what the models gave.
 *
 * @throws BUDGET_INFEASIBLE before any work when the plan exceeds the budget; REWARD_VALUE, MODEL_RUNTIME and whatever
 *   generator, rewards and features throw; the signal's reason when aborted. Sessions are released in every case.
 */
export async function runSearch(input: SearchInput): Promise<SearchResult> {
  const { task, rewards, signal, trace } = input;
  const { traits } = input.generator;
  const planned = planInputOf(input);
  const plan = input.plan ?? planSearch(planned);
  const budget = new Budget(plan.limit, traits.stages.length);
  const space = createSpace(planned, () => budget.remaining());
  const ledger = new Ledger(space.cost, budget);
  const models = new ModelsWitness(
    {
      ...input,
      signal: signal ?? new AbortController().signal,
      timing: input.timing ?? null,
      log: input.log ?? (() => {}),
    },
    ledger,
  );
  const progress = (action: ProgressEvent["action"], { stage, ids }: Population): void => {
    const { length: stages } = traits.stages;
    const { limit } = budget;
    input.onProgress?.({ action, stage, stages, width: ids.length, spent: budget.spent(), limit });
  };
  const { strategy = "custom", options = null } = input.describe ?? {};
  trace?.event(
    beginEvent({
      task,
      strategy: { name: strategy, options },
      generator: traits,
      reward: input.primaryReward,
      units: input.units,
      limit: budget.limit,
    }),
  );
  try {
    const loop = turns(finish(input.strategy, space), ledger);
    let turn = loop.next();
    while (!turn.done) {
      signal?.throwIfAborted();
      const booked = turn.value;
      const seen = await models.see(booked);
      trace?.event(eventOf(booked, seen, { tokens: traits.tokens, rewards }));
      progress(booked.action.type, booked.next);
      turn = loop.next(seen);
    }
    const { outcome, finals } = turn.value;
    expectFinished(outcome, traits.stages.length);
    signal?.throwIfAborted();
    const candidates = await collect(input, models, outcome, finals);
    const spending = budget.spending();
    trace?.event(endEvent(outcome, spending));
    progress("end", outcome.finalists);
    return {
      task,
      best: candidates[outcome.best]!,
      candidates,
      spending,
      stages: ledger.rows.map((row) => ({ ...row, label: traits.stages[row.stage]!.label })),
      limit: budget.limit,
      units: input.units,
      plan,
    };
  } finally {
    models.close();
  }
}

function expectFinished({ finalists, best }: SearchOutcome, stages: number): void {
  if (finalists.stage !== stages || finalists.ids[best] === undefined) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `the strategy returned row ${best} of ${finalists.ids.length} candidates at stage ${finalists.stage} of ${stages}; ` +
        "it must return finished candidates and the row of the best",
    );
  }
}

async function collect(
  input: SearchInput,
  models: ModelsWitness,
  { finalists }: SearchOutcome,
  missing: readonly number[],
): Promise<FinalCandidate[]> {
  const pictures = await models.finals(finalists, missing);
  const tokens = await models.tokens(finalists);
  return finalists.ids.map((id, row) => {
    const scores: Record<string, number> = {};
    const details: Record<string, Readonly<Record<string, unknown>>> = {};
    for (const name of Object.keys(input.rewards)) {
      const known = models.finalScore(id, finalists.stage, name);
      if (!known) continue;
      scores[name] = known.raw;
      if (known.detail) details[name] = known.detail;
    }
    const picture = pictures[row]!;
    const image = stillOf(picture);
    return {
      id,
      parent: parentOf(id),
      image,
      picture,
      pixelHash: picture.frames.length === 1 ? pixelHash(image) : framesHash(picture.frames),
      tokens: tokens[row]!,
      scores,
      details,
    };
  });
}
