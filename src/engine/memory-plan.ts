import { dryRun } from "../core/dry-run.ts";
import { TtsVarError } from "../core/errors.ts";
import {
  FULL_VIEW,
  type GeneratorMemory,
  type GeneratorTraits,
  shareOf,
  type View,
} from "../core/generator.ts";
import type { SearchFunction, SearchSpace } from "../core/strategy.ts";

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
  /** The largest view. The runtime gives a graph's memory back only with the graph, so it comes on top. */
  readonly viewing: number;
  /** Candidates that each stage computes at once, so that it fits. */
  readonly rowsAtOnce: readonly number[];
  /** Stages that are computed in several blocks, because they would not fit as a whole. */
  readonly split: readonly number[];
}

export interface MemoryInput {
  readonly generator: Pick<GeneratorTraits, "stages" | "shape">;
  readonly memory: GeneratorMemory;
  readonly strategy: SearchFunction;
  readonly space: SearchSpace;
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
  const { generator, memory, limit } = input;
  const { moments, viewing } = follow(input);
  const widest = generator.stages.map(() => 1);
  /** By stage that has to be split. */
  const blocks = new Map<number, number>();
  let worst = { kept: 0, working: memory.prompt, stage: 0 };
  for (const { stage, rows, kept } of moments) {
    const work = (count: number): number => memory.prompt + count * memory.working[stage]!;
    const free = limit - memory.weights - viewing - kept;
    let block = rows;
    while (block > 1 && work(block) > free) block = Math.ceil(block / 2);
    widest[stage] = Math.max(rows, widest[stage]!);
    if (block < rows) blocks.set(stage, Math.min(block, blocks.get(stage) ?? block));
    const working = work(block);
    if (kept + working > worst.kept + worst.working) worst = { kept, working, stage };
  }
  const plan = {
    limit,
    peak: memory.weights + worst.kept + worst.working + viewing,
    weights: memory.weights,
    ...worst,
    viewing,
    rowsAtOnce: widest.map((rows, stage) => blocks.get(stage) ?? rows),
    split: [...blocks.keys()].sort((a, b) => a - b),
  };
  if (plan.peak > limit) throw tooMuch(plan);
  return plan;
}

/** All stages of a dry run in order, and the largest view. */
function follow({ generator, memory, strategy, space }: MemoryInput) {
  const { shared } = space.cost;
  const moments: Moment[] = [];
  let viewing = viewBytes(generator, memory, FULL_VIEW, 1);
  /** What each population keeps. Selecting and branching share it: it goes with the last population that has it. */
  const held = new Map<number, readonly { readonly bytes: number }[]>();
  const kept = (): number => {
    const parts = new Set([...held.values()].flat());
    return [...parts].reduce((sum, { bytes }) => sum + bytes, 0);
  };
  const { rows } = dryRun(strategy, space, ({ action, next, view }) => {
    if (action.type === "start") {
      held.set(next.key, []);
      return;
    }
    const { population } = action;
    const own = held.get(population.key) ?? [];
    switch (action.type) {
      case "step": {
        const { stage, ids } = population;
        const width = stage < shared ? 1 : ids.length;
        const grown = memory.kept[stage]! - (memory.kept[stage - 1] ?? 0);
        // Where caches are cut, what is left is written anew.
        const parts =
          grown < 0 ? [{ bytes: width * memory.kept[stage]! }] : [...own, { bytes: width * grown }];
        held.set(population.key, parts);
        moments.push({ stage, rows: width, kept: kept() });
        return;
      }
      case "refine":
        moments.push({ stage: population.stage - 1, rows: population.ids.length, kept: kept() });
        return;
      case "rewind":
        held.set(population.key, [{ bytes: population.ids.length * (memory.kept[action.to - 1] ?? 0) }]);
        return;
      case "score":
      case "features":
        viewing = Math.max(viewing, viewBytes(generator, memory, action.view, view.length));
        return;
      case "select":
      case "branch":
        if (action.type === "select") held.delete(population.key);
        held.set(next.key, own);
        return;
      case "release":
        held.delete(population.key);
    }
  });
  // Finalists whose full views are at hand were decoded in smaller parties; as one party they are the upper bound.
  const finalists = rows.at(-1)?.widthOut ?? 1;
  return { moments, viewing: Math.max(viewing, viewBytes(generator, memory, FULL_VIEW, finalists)) };
}

/** While so many views are decoded: implementations work through them in blocks. */
function viewBytes(
  { shape }: Pick<GeneratorTraits, "shape">,
  { view: { bytes, atOnce } }: GeneratorMemory,
  view: View,
  count: number,
): number {
  const share = shareOf(shape, view);
  return bytes * share * Math.min(count, Math.max(1, Math.floor(atOnce / share)));
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
export function describeParts({ weights, kept, stage, working, viewing }: MemoryPlan): string {
  return [
    `weights ${gibibytes(weights)}`,
    `kept by candidates ${gibibytes(kept)}`,
    `stage ${stage} ${gibibytes(working)}`,
    `views ${gibibytes(viewing)}`,
  ].join(", ");
}

/** `1.5 GiB`, `12 MiB`. */
export function gibibytes(bytes: number): string {
  return bytes >= 2 ** 29 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}
