import { Budget, type Spending } from "../core/budget.ts";
import { finish } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, SamplingSettings } from "../core/generator.ts";
import type { CandidateId } from "../core/ids.ts";
import { pixelHash, type RgbImage } from "../core/image.ts";
import { Ledger } from "../core/ledger.ts";
import type { Reward } from "../core/reward.ts";
import type { Calibration, SearchFunction, SearchOutcome } from "../core/strategy.ts";
import type { TraceSink } from "../core/trace.ts";
import { endEvent } from "./events.ts";
import type { FeatureSource } from "./feature-source.ts";
import { parentOf } from "./lineage.ts";
import { LiveDriver } from "./models-witness.ts";
import type { ProgressEvent, SearchTimer } from "./observer.ts";
import { createSpace, planSearch, type SearchPlan } from "./plan.ts";

export interface SearchInput {
  readonly generator: Generator;
  readonly strategy: SearchFunction;
  /** All rewards that the strategy may ask for, by name. */
  readonly rewards: Readonly<Record<string, Reward>>;
  /** The reward of `--reward`: scores the finalists, and is part of the unit. */
  readonly primaryReward: string;
  readonly features: FeatureSource | null;
  readonly prompt: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly seed: number | string;
  readonly settings: SamplingSettings;
  /** `--budget`. */
  readonly units: number;
  readonly calibration: Calibration | null;
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
  readonly image: RgbImage;
  readonly pixelHash: string;
  /** Its tokens, `[scale][position]`: forced on another search, they give the same image. */
  readonly bits: readonly Uint8Array[];
  /** Raw scores of the full-size image by reward. */
  readonly scores: Readonly<Record<string, number>>;
  /** Explanations by reward, where it gave any. */
  readonly details: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface SearchResult {
  readonly best: FinalCandidate;
  /** The finalists, in the order of the last population. */
  readonly candidates: readonly FinalCandidate[];
  readonly spending: Spending;
  /** FLOPs allowed, and the same in units. */
  readonly limit: number;
  readonly units: number;
  readonly plan: SearchPlan;
}

/**
 * Runs one search: drives the strategy's program, answering every action with what the models gave.
 *
 * @throws BUDGET_INFEASIBLE before any work when the plan exceeds the budget; REWARD_VALUE, MODEL_RUNTIME and whatever
 *   generator, rewards and features throw; the signal's reason when aborted. Sessions are released in every case.
 */
export async function runSearch(input: SearchInput): Promise<SearchResult> {
  const plan = planSearch(input);
  const budget = new Budget(plan.limit, input.generator.scales.length);
  const space = createSpace(input, () => budget.remaining());
  const driver = new LiveDriver(
    {
      ...input,
      signal: input.signal ?? new AbortController().signal,
      timing: input.timing ?? null,
      log: input.log ?? (() => {}),
    },
    new Ledger(space.cost, budget),
  );
  const program = finish(input.strategy, space);
  const progress = (action: ProgressEvent["action"], stage: number, width: number): void => {
    const scales = space.scales.length;
    input.onProgress?.({ action, stage, scales, width, spent: budget.spent(), limit: budget.limit });
  };
  input.trace?.event({
    type: "begin",
    schemaVersion: 1,
    prompt: input.prompt,
    seed: input.seed,
    strategy: input.describe?.strategy ?? "custom",
    options: input.describe?.options ?? null,
    sampler: `${input.generator.name}@${input.generator.version}`,
    reward: input.primaryReward,
    units: input.units,
    limit: budget.limit,
  });
  try {
    let turn = program.next();
    while (!turn.done) {
      input.signal?.throwIfAborted();
      const action = turn.value;
      const { observation, event } = await driver.act(action);
      input.trace?.event(event);
      const population = "population" in observation ? observation.population : undefined;
      const seen = population ?? (action.type === "start" ? undefined : action.population);
      progress(action.type, seen?.stage ?? 0, seen?.ids.length ?? 0);
      turn = program.next(observation);
    }
    const outcome = turn.value;
    expectFinished(outcome, space.scales.length);
    input.signal?.throwIfAborted();
    const candidates = await collect(input, driver, outcome);
    const spending = budget.spending();
    input.trace?.event(endEvent(outcome, spending));
    progress("end", space.scales.length, candidates.length);
    return {
      best: candidates[outcome.best]!,
      candidates,
      spending,
      limit: budget.limit,
      units: input.units,
      plan,
    };
  } finally {
    driver.close();
  }
}

function expectFinished({ finalists, best }: SearchOutcome, scales: number): void {
  if (finalists.stage !== scales || finalists.ids[best] === undefined) {
    throw new TtsVarError(
      "PLUGIN_INVALID",
      `the strategy returned row ${best} of ${finalists.ids.length} candidates at stage ${finalists.stage} of ${scales}; ` +
        "it must return finished candidates and the row of the best",
    );
  }
}

async function collect(
  input: SearchInput,
  driver: LiveDriver,
  { finalists }: SearchOutcome,
): Promise<FinalCandidate[]> {
  const images = await driver.finals(finalists);
  const bits = await driver.bits(finalists);
  return finalists.ids.map((id, row) => {
    const scores: Record<string, number> = {};
    const details: Record<string, Readonly<Record<string, unknown>>> = {};
    for (const name of Object.keys(input.rewards)) {
      const known = driver.finalScore(id, finalists.stage, name);
      if (!known) continue;
      scores[name] = known.raw;
      if (known.detail) details[name] = known.detail;
    }
    const image = images[row]!;
    return {
      id,
      parent: parentOf(id),
      image,
      pixelHash: pixelHash(image),
      bits: bits[row]!,
      scores,
      details,
    };
  });
}
