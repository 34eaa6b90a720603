import { strategies } from "../../../search/index.ts";
import type { Calibration } from "../../../src/core/calibration.ts";
import type { SearchFunction, Strategy } from "../../../src/core/strategy.ts";
import type { TraceEvent } from "../../../src/core/trace.ts";
import { planSearch } from "../../../src/engine/plan.ts";
import {
  planInputOf,
  runSearch,
  type SearchInput,
  type SearchResult,
} from "../../../src/engine/run-search.ts";
import { analyticFeatures, analyticGenerator, analyticReward } from "./analytic-generator.ts";

export const strategyNames = strategies.map(({ name }) => name);

/** A built-in strategy with the given options. */
export async function loadStrategy(
  name: string,
  options: Record<string, unknown> = {},
): Promise<SearchFunction> {
  const strategy: Strategy = await strategies.find((entry) => entry.name === name)!.load();
  const result = await strategy.options["~standard"].validate(options);
  if (result.issues) throw new Error(JSON.stringify(result.issues));
  return strategy.create(result.value);
}

export interface Overrides extends Partial<SearchInput> {
  readonly options?: Record<string, unknown>;
}

/** Options with which strategies that may stop early spend all they plan, and with which the oracle has a judge. */
const defaultOptions: Readonly<Record<string, Record<string, unknown>>> = {
  "calibrated-stop": { price: 0 },
  oracle: { judge: "sum" },
};

/** Input of a search on the analytic generator. */
export async function searchInput(
  name: string,
  units: number,
  overrides: Overrides = {},
): Promise<SearchInput> {
  const { options = defaultOptions[name] ?? {}, ...rest } = overrides;
  const generator = overrides.generator ?? analyticGenerator();
  return {
    generator,
    strategy: await loadStrategy(name, options),
    rewards: { sum: analyticReward() },
    primaryReward: "sum",
    features: analyticFeatures,
    task: { prompt: "a red cup", seed: 7 },
    units,
    calibration: name === "calibrated-stop" ? calibration : null,
    describe: { strategy: name, options },
    ...rest,
  };
}

export { planInputOf };

export function planOf(input: SearchInput) {
  return planSearch(planInputOf(input));
}

export interface Recorded {
  readonly result: SearchResult;
  readonly events: TraceEvent[];
  /** The trace as a file holds it. */
  readonly text: string;
}

export async function record(input: SearchInput): Promise<Recorded> {
  const events: TraceEvent[] = [];
  const result = await runSearch({ ...input, trace: { event: (event) => events.push(event) } });
  const text = events.map((event) => `${JSON.stringify(event)}\n`).join("");
  return {
    result,
    events: text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as TraceEvent),
    text,
  };
}

/** A calibration that grows more reliable with the scale. */
export const calibration: Calibration = {
  schemaVersion: 1,
  model: "analytic",
  reward: "sum",
  rewardVersion: "1",
  scales: [0, 1, 2, 3, 4, 5].map((scale) => {
    const correlation = Math.sqrt((scale + 1) / 6);
    return {
      scale,
      correlation,
      slope: 1,
      residual: Math.sqrt(1 - correlation ** 2) + 0.01,
      decided: (scale + 1) / 6,
    };
  }),
  acceptance: {
    verifier: "sum",
    intercept: -2,
    slope: 1,
    prior: { right: 1, wrong: 1 },
  },
};
