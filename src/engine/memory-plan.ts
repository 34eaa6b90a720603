import { dryRun } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, GeneratorMemory } from "../core/generator.ts";
import type { SearchAction, SearchFunction, SearchObservation, SearchSpace } from "../core/strategy.ts";

/** What a search needs of memory at most, in bytes, before any model is loaded. */
export interface MemoryPlan {
  readonly limit: number;
  /** All of the following together. */
  readonly peak: number;
  readonly weights: number;
  /** What candidates keep between stages, at the worst stage. */
  readonly kept: number;
  /** Work in progress at that stage, and which one it is; conditioning included. */
  readonly working: number;
  readonly stage: number;
  /** The largest decode. The runtime gives a graph's memory back only with the graph, so it comes on top. */
  readonly decoding: number;
  /** Candidates that each stage computes at once, so that it fits. */
  readonly rowsAtOnce: readonly number[];
  /** Stages that are computed in several blocks, because they would not fit as a whole. */
  readonly split: readonly number[];
}

export interface MemoryInput {
  readonly generator: Pick<Generator, "scales" | "latent" | "cost"> & { readonly memory: GeneratorMemory };
  readonly strategy: SearchFunction;
  readonly space: SearchSpace;
  readonly guidanceUntil: number;
  readonly limit: number;
}

/** A stage about to be computed. Its own keys and values count as kept. */
interface Moment {
  readonly stage: number;
  readonly rows: number;
  readonly kept: number;
}

/**
 * Follows a strategy's program and finds the moment that needs most memory. Where a stage does not fit as a whole, it is
 * split into blocks of candidates; what candidates keep cannot be split.
 *
 * @throws TtsVarError MEMORY_INFEASIBLE with the moment, the numbers and what would help
 */
export function planMemory(input: MemoryInput): MemoryPlan {
  const { generator, limit, guidanceUntil } = input;
  const { memory } = generator;
  const { moments, decoding } = follow(input);
  const widest = generator.scales.map(() => 1);
  /** By stage that has to be split. */
  const blocks = new Map<number, number>();
  let worst = { kept: 0, working: memory.text, stage: 0 };
  for (const { stage, rows, kept } of moments) {
    const work = (count: number): number => memory.text + memory.working(stage, count, stage < guidanceUntil);
    const free = limit - memory.weights - decoding - kept;
    let block = rows;
    while (block > 1 && work(block) > free) block = Math.ceil(block / 2);
    widest[stage] = Math.max(rows, widest[stage]!);
    if (block < rows) blocks.set(stage, Math.min(block, blocks.get(stage) ?? block));
    const working = work(block);
    if (kept + working > worst.kept + worst.working) worst = { kept, working, stage };
  }
  const plan = {
    limit,
    peak: memory.weights + worst.kept + worst.working + decoding,
    weights: memory.weights,
    ...worst,
    decoding,
    rowsAtOnce: widest.map((rows, stage) => blocks.get(stage) ?? rows),
    split: [...blocks.keys()].sort((a, b) => a - b),
  };
  if (plan.peak > limit) throw tooMuch(plan);
  return plan;
}

/** All stages of a dry run in order, and the largest decode. */
function follow({ generator, strategy, space, guidanceUntil }: MemoryInput) {
  const { memory, cost } = generator;
  const moments: Moment[] = [];
  // The finalists are decoded at full size in any case, whatever the program does.
  let decoding = memory.decode(generator.latent, 1);
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
        held.set(population.key, [...own, { bytes: memory.kept(stage, rows, stage < guidanceUntil) }]);
        moments.push({ stage, rows, kept: kept() });
        return;
      }
      case "score":
      case "features": {
        const count = action.type === "score" ? action.rows.length : population.ids.length;
        decoding = Math.max(decoding, memory.decode(action.latent ?? generator.latent, count));
        return;
      }
      case "tokens":
        return;
      case "select":
      case "branch":
        if (action.type === "select") held.delete(population.key);
        if (observation.type === "population") held.set(observation.population.key, own);
        return;
      case "release":
        held.delete(population.key);
    }
  };
  const { rows } = dryRun(watched(strategy, watch), space);
  const finalists = rows.at(-1)?.widthOut ?? 1;
  return { moments, decoding: Math.max(decoding, memory.decode(generator.latent, finalists)) };
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

function tooMuch(plan: MemoryPlan): TtsVarError {
  const { limit, weights, peak } = plan;
  const remedy =
    weights > limit
      ? "export the model with --dtype int8 or int4, or raise --max-memory"
      : "raise --max-memory, lower --budget or --widths, choose a smaller --size, or end guidance earlier (--guidance-until)";
  return new TtsVarError(
    "MEMORY_INFEASIBLE",
    `this search needs about ${gibibytes(peak)} (${describeParts(plan)}), but ${gibibytes(limit)} are allowed; ${remedy}`,
    { details: { ...plan } },
  );
}

/** What a peak is made of, in words. */
export function describeParts({ weights, kept, stage, working, decoding }: MemoryPlan): string {
  return [
    `weights ${gibibytes(weights)}`,
    `kept by candidates ${gibibytes(kept)}`,
    `scale ${stage} ${gibibytes(working)}`,
    `decoding ${gibibytes(decoding)}`,
  ].join(", ");
}

/** `1.5 GiB`, `12 MiB`. */
export function gibibytes(bytes: number): string {
  return bytes >= 2 ** 29 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
