import { dryRun } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import type { LatentSize, Sampler, SamplerMemory } from "../core/sampler.ts";
import type { SearchAction, SearchFunction, SearchObservation, SearchSpace } from "../core/strategy.ts";

/** What a search needs of memory at most, in bytes, before any model is loaded. */
export interface MemoryPlan {
  readonly limit: number;
  /** Everything at the worst moment, which is `at`. */
  readonly peak: number;
  readonly at: string;
  /** Of the peak: weights; what candidates keep between stages; work in progress. */
  readonly weights: number;
  readonly kept: number;
  readonly working: number;
  /** Candidates that each stage computes at once, so that it fits. */
  readonly rowsAtOnce: readonly number[];
  /** Stages that are computed in several blocks, because they would not fit as a whole. */
  readonly split: readonly number[];
}

export interface MemoryInput {
  readonly sampler: Pick<Sampler, "scales" | "latent" | "cost"> & { readonly memory: SamplerMemory };
  readonly strategy: SearchFunction;
  readonly space: SearchSpace;
  readonly guidanceUntil: number;
  readonly limit: number;
}

/** A moment of the search: what is kept already, and what is done. */
interface Moment {
  readonly kept: number;
  readonly work:
    | { readonly type: "step"; readonly stage: number; readonly rows: number }
    | { readonly type: "decode"; readonly latent: LatentSize; readonly count: number };
}

/**
 * Follows a strategy's program and finds the moment that needs most memory. Where a stage does not fit as a whole, it is
 * split into blocks of candidates; what candidates keep cannot be split.
 *
 * @throws TtsVarError MEMORY_INFEASIBLE with the moment, the numbers and what would help
 */
export function planMemory(input: MemoryInput): MemoryPlan {
  const { sampler, limit, guidanceUntil } = input;
  const { memory } = sampler;
  const rowsAtOnce = sampler.scales.map(() => Number.POSITIVE_INFINITY);
  const split = new Set<number>();
  let worst = { kept: 0, working: memory.text, at: "text" };
  for (const { kept, work } of moments(input)) {
    if (work.type === "decode") {
      const { h, w } = work.latent;
      const working = memory.decode(work.latent, work.count);
      if (kept + working > worst.kept + worst.working) worst = { kept, working, at: `decoding at ${h}x${w}` };
      continue;
    }
    const { stage } = work;
    const guided = stage < guidanceUntil;
    const free = limit - memory.weights - memory.text - kept;
    let rows = work.rows;
    while (rows > 1 && memory.working(stage, rows, guided) > free) rows = Math.ceil(rows / 2);
    if (rows < work.rows) split.add(stage);
    rowsAtOnce[stage] = Math.min(rowsAtOnce[stage]!, rows);
    const working = memory.text + memory.working(stage, rows, guided);
    if (kept + working > worst.kept + worst.working) worst = { kept, working, at: `scale ${stage}` };
  }
  const peak = memory.weights + worst.kept + worst.working;
  if (peak > limit) throw tooMuch(limit, memory.weights, peak, worst);
  return {
    limit,
    peak,
    at: worst.at,
    weights: memory.weights,
    kept: worst.kept,
    working: worst.working,
    rowsAtOnce: rowsAtOnce.map((rows) => (Number.isFinite(rows) ? rows : 1)),
    split: [...split].sort((a, b) => a - b),
  };
}

/** All moments of a dry run. A stage's own keys and values count as kept while it is computed. */
function moments({ sampler, strategy, space, guidanceUntil }: MemoryInput): Moment[] {
  const { memory, cost } = sampler;
  const found: Moment[] = [];
  /** What each population keeps. Selecting and branching share it: it goes with the last population that has it. */
  const held = new Map<number, readonly { readonly bytes: number }[]>();
  const kept = (): number => {
    const parts = new Set([...held.values()].flat());
    return [...parts].reduce((sum, { bytes }) => sum + bytes, 0);
  };
  const watch = (action: SearchAction, observation: SearchObservation): void => {
    if (action.type === "start") {
      if (observation.type === "population") held.set(observation.population.key, []);
      return;
    }
    const { population } = action;
    const own = held.get(population.key) ?? [];
    switch (action.type) {
      case "step": {
        const { stage, ids } = population;
        const rows = stage < cost.sharedStages ? 1 : ids.length;
        const bytes = memory.kept(stage, rows, stage < guidanceUntil);
        held.set(population.key, [...own, { bytes }]);
        found.push({ kept: kept(), work: { type: "step", stage, rows } });
        return;
      }
      case "score":
      case "features": {
        const latent = action.latent ?? sampler.latent;
        const count = action.type === "score" ? action.rows.length : population.ids.length;
        found.push({ kept: kept(), work: { type: "decode", latent, count } });
        return;
      }
      case "select":
      case "branch":
        if (action.type === "select") held.delete(population.key);
        if (observation.type === "population") held.set(observation.population.key, own);
        return;
      case "release":
        held.delete(population.key);
    }
  };
  dryRun(watched(strategy, watch), space);
  found.push({
    kept: kept(),
    work: { type: "decode", latent: sampler.latent, count: Number.MAX_SAFE_INTEGER },
  });
  return found;
}

/** The same program, with somebody looking on. */
function watched(
  strategy: SearchFunction,
  watch: (action: SearchAction, observation: SearchObservation) => void,
): SearchFunction {
  return function* (space) {
    const program = strategy(space);
    let turn = program.next();
    while (!turn.done) {
      const observation = yield turn.value;
      watch(turn.value, observation);
      turn = program.next(observation);
    }
    return turn.value;
  };
}

function tooMuch(
  limit: number,
  weights: number,
  peak: number,
  worst: { readonly kept: number; readonly working: number; readonly at: string },
): TtsVarError {
  const remedy =
    weights > limit
      ? "export the model with --dtype int8 or int4, or raise --max-memory"
      : "raise --max-memory, lower --budget or --widths, choose a smaller --size, or end guidance earlier (--guidance-until)";
  return new TtsVarError(
    "MEMORY_INFEASIBLE",
    `this search needs about ${gibibytes(peak)} (weights ${gibibytes(weights)}, kept by candidates ${gibibytes(worst.kept)}, ` +
      `${worst.at} ${gibibytes(worst.working)}), but ${gibibytes(limit)} are allowed; ${remedy}`,
    { details: { peak, limit, weights, ...worst } },
  );
}

/** `1.5 GiB`, `12 MiB`. */
export function gibibytes(bytes: number): string {
  return bytes >= 2 ** 29 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
