import { Budget } from "../core/budget.ts";
import { type Booked, finish, turns } from "../core/drive.ts";
import { dryRun } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import { type GeneratorTraits, SPECIFICATION_VERSION } from "../core/generator.ts";
import { Ledger, viewKey } from "../core/ledger.ts";
import type { ActionOf, SearchAction, Sight, Sights } from "../core/program.ts";
import type { RewardTraits } from "../core/reward.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { Tensor } from "../core/tensor.ts";
import { createSpace, type PlanInput, planSearch } from "../engine/plan.ts";
import type { AnswerRequest, CreateRequest, Deed, Question, Turn } from "./protocol.ts";

const REWARD = "reward";

type Loop = ReturnType<typeof turns>;

/**
 * A search whose candidates live in somebody else's loop: the strategy's program runs here, priced and metered as in every
 * search, and the loop draws, looks and scores.
 */
export class Selection {
  readonly #request: CreateRequest;
  readonly #budget: Budget;
  readonly #unit: number;
  readonly #loop: Loop;
  /** Scores by candidate, moment and view, higher is better. */
  readonly #scores = new Map<string, number>();
  #asked: Booked<ActionOf<"score" | "features">> | null = null;
  #turn: Turn;

  /**
   * Plans the search and runs it to its first question.
   *
   * @throws TtsVarError BUDGET_INFEASIBLE; CONFIG_INVALID for strategies that need what a loop elsewhere does not have
   */
  constructor(request: CreateRequest, strategy: SearchFunction) {
    this.#request = request;
    const input = planInputOf(request, strategy);
    expectDecidable(input);
    const { limit, unit } = planSearch(input);
    this.#unit = unit;
    this.#budget = new Budget(limit, input.generator.stages.length);
    const space = createSpace(input, () => this.#budget.remaining());
    this.#loop = turns(finish(strategy, space), new Ledger(space.cost, this.#budget));
    this.#turn = this.#run();
  }

  get turn(): Turn {
    return this.#turn;
  }

  /**
   * Goes on with what was asked for.
   *
   * @throws TtsVarError CONFIG_INVALID for an answer to something else, of another length, or that is not finite
   */
  answer({ scores, features }: AnswerRequest): Turn {
    const booked = this.#asked;
    if (!booked) throw invalid("this search has ended; nothing is asked for");
    const { type, population } = booked.action;
    const rows = type === "score" ? booked.score : population.ids.map((_, row) => row);
    const given = type === "score" ? scores : features;
    const wanted = type === "score" ? "scores" : "features";
    if (given === undefined || (scores !== undefined && features !== undefined)) {
      throw invalid(`${wanted} are asked for, and nothing else`);
    }
    if (given.length !== rows.length) {
      throw invalid(`${given.length} ${wanted} given, but ${rows.length} candidates are asked for`);
    }
    const seen = scores ? this.#take(booked as Booked<ActionOf<"score">>, scores) : tensorOf(features!);
    this.#asked = null;
    this.#turn = this.#run(seen);
    return this.#turn;
  }

  release(): void {
    this.#scores.clear();
  }

  #run(answered?: Sights["scores"] | Sights["features"]): Turn {
    const deeds: Deed[] = [];
    let seen: Sights[Sight] | undefined = answered;
    for (;;) {
      const turn: ReturnType<Loop["next"]> = seen === undefined ? this.#loop.next() : this.#loop.next(seen);
      if (turn.done) {
        const { finalists, best } = turn.value.outcome;
        return this.#at(deeds, null, {
          population: finalists.key,
          ids: finalists.ids,
          best: finalists.ids[best]!,
        });
      }
      const booked: Booked = turn.value;
      const { action } = booked;
      if (action.type === "score" && booked.score.length === 0) {
        seen = this.#known(booked as Booked<ActionOf<"score">>);
      } else if (action.type === "score" || action.type === "features") {
        this.#asked = booked as Booked<ActionOf<"score" | "features">>;
        return this.#at(deeds, questionOf(this.#asked), null);
      } else {
        const deed = deedOf(booked);
        if (deed) deeds.push(deed);
        // The tokens are the loop's own, and it has no signals.
        seen = action.type === "step" ? { tokenHash: booked.next.ids.map(() => ""), values: {} } : null;
      }
    }
  }

  #at(deeds: readonly Deed[], ask: Question | null, answer: Turn["answer"]): Turn {
    return { do: deeds, ask, answer, spent: this.#budget.spent() / this.#unit, budget: this.#request.budget };
  }

  #take(booked: Booked<ActionOf<"score">>, given: readonly number[]): Float64Array {
    const { population, view } = booked.action;
    const sign = this.#request.reward.direction === "higher" ? 1 : -1;
    booked.score.forEach((row, index) => {
      this.#scores.set(viewKey(population.ids[row]!, population.stage, view), sign * given[index]!);
    });
    return this.#known(booked);
  }

  #known({ action: { population, rows, view } }: Booked<ActionOf<"score">>): Float64Array {
    return Float64Array.from(
      rows,
      (row) => this.#scores.get(viewKey(population.ids[row]!, population.stage, view))!,
    );
  }
}

function invalid(message: string): TtsVarError {
  return new TtsVarError("CONFIG_INVALID", message);
}

function tensorOf(vectors: readonly (readonly number[])[]): Tensor {
  const dim = vectors[0]!.length;
  if (vectors.some(({ length }) => length !== dim))
    throw invalid("all feature vectors must have the same length");
  return { dims: [vectors.length, dim], data: Float32Array.from(vectors.flat()) };
}

function deedOf({ action, next }: Booked<SearchAction>): Deed | null {
  switch (action.type) {
    case "start":
      return { action: "start", population: next.key, ids: next.ids };
    case "step":
      return { action: "step", population: next.key, stage: next.stage };
    case "select":
    case "branch": {
      const { ids, key } = action.population;
      const picks = action.picks.map((row, at) => ({ from: ids[row]!, id: next.ids[at]! }));
      return { action: action.type, population: key, into: next.key, picks };
    }
    case "release":
      return { action: "release", population: next.key };
    default:
      return null;
  }
}

function questionOf({ action, score }: Booked<ActionOf<"score" | "features">>): Question {
  const { population, view } = action;
  const { key, ids, stage } = population;
  return {
    for: action.type === "score" ? "scores" : "features",
    population: key,
    stage,
    ids: action.type === "score" ? score.map((row) => ids[row]!) : ids,
    view,
  };
}

function planInputOf(request: CreateRequest, strategy: SearchFunction): PlanInput {
  const { budget, costs, looks, image, reward, features, seed, prompt } = request;
  const listed =
    typeof request.stages === "number"
      ? Array.from({ length: request.stages }, () => ({ label: undefined, cost: 1 }))
      : request.stages;
  const generator: GeneratorTraits = {
    specificationVersion: SPECIFICATION_VERSION,
    name: "loop",
    version: "elsewhere",
    shape: { id: "loop", ...image, frames: 1 },
    stages: listed.map(({ label }, index) => ({ index, label: label ?? `${index}`, tokens: 1, final: 1 })),
    tokens: { kind: "vector", width: 1 },
    looks: looks.includes("now") ? looks : ["now", ...looks],
    can: [],
    cost: {
      prompt: costs.prompt,
      stages: listed.map(({ cost }) => cost),
      shared: 0,
      views: Object.fromEntries([...looks, "now"].map((look) => [look, costs.view])),
    },
    memory: null,
    settings: {},
  };
  const traits: RewardTraits = {
    name: REWARD,
    version: "elsewhere",
    ...reward,
    flops: costs.reward,
    license: "the loop's",
    source: "the loop",
  };
  return {
    generator,
    strategy,
    rewards: { [REWARD]: traits },
    primaryReward: REWARD,
    features: features ? { flops: costs.features } : null,
    units: budget,
    calibration: null,
    seed,
    prompt,
  };
}

/** A loop elsewhere keeps its tokens to itself, and answers with scores alone. */
function expectDecidable(input: PlanInput): void {
  dryRun(
    input.strategy,
    createSpace(input, (limit) => limit),
    ({ action }) => {
      if (action.type === "atoms") {
        throw invalid(
          "the strategy asks what scores are made of, which loops do not tell; choose another one",
        );
      }
      if (action.type !== "tokens") return;
      throw invalid(
        "the strategy compares tokens, which only this program's own generators show; choose another one",
      );
    },
  );
}
