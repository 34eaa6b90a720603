import { FULL_VIEW, type Shape, type StageSignals, sidesOf, type View } from "../core/generator.ts";
import {
  branch,
  features,
  type Population,
  release,
  type SearchOutcome,
  type SearchProgram,
  score,
  select,
  start,
  step,
  stepTo,
  tokens,
} from "../core/program.ts";
import type { SearchFunction, SearchSpace } from "../core/strategy.ts";
import type { Tokens } from "../core/tokens.ts";
import type { TraceEvent } from "../core/trace.ts";
import { type EventOf, recordedTokens } from "../engine/events.ts";
import { runSearch, type SearchInput, type SearchResult } from "../engine/run-search.ts";

/**
 * Everything that could be seen of a number of independent candidates of one prompt: their rewards at every scale and
 * preview size, their features, and the finished images. Any strategy that never copies can be decided on it afterwards
 * (decide-offline.ts), and preview quality can be measured (calibrate.ts).
 */
export interface Tree {
  readonly width: number;
  /** Raw scores of all roots by `viewKey`. */
  readonly scores: Readonly<Record<string, readonly number[]>>;
  /** Feature vectors by `viewKey` with the reward `features`: base64 float32 and their dimensions. */
  readonly features: Readonly<Record<string, { readonly dims: readonly number[]; readonly base64: string }>>;
  /** Free signals by scale. */
  readonly signals: readonly Pick<EventOf<"step">, "tokens" | "signals">[];
  /** Tokens by scale, if they were recorded. */
  readonly tokens?: readonly RecordedTokens[];
  /**
   * Final scores of second continuations: `copies[scale][root]` shares the root's tokens up to and including that scale.
   * Empty for scales that were not looked at.
   */
  readonly copies: readonly (readonly number[])[];
}

/** Tokens of all roots after a scale, as in a trace. */
export type RecordedTokens = Pick<EventOf<"tokens">, "kind" | "count" | "base64">;

export interface TreeOptions {
  readonly width: number;
  /** Rewards to score at every scale that is looked at. */
  readonly rewards: readonly string[];
  /** Rewards to score on finished images only, at full size. */
  readonly finalRewards?: readonly string[];
  readonly previews: readonly View[];
  /** Scales that are looked at; default: all. The last one is always, at full size too. */
  readonly scales?: readonly number[];
  /** View in which features are taken, or false. */
  readonly featurePreview: View | false;
  /** Whether to record tokens. */
  readonly tokens?: boolean | undefined;
  /** Roots of which a second continuation is drawn from every scale that is looked at. */
  readonly copies: number;
}

/** Name of a look at the whole picture: what was looked at, after which scale. */
export function wholeKey(what: string, scale: number): string {
  return `${what}@${scale}`;
}

/**
 * Name of one view of the population: what was looked at, after which scale, at how many cells of the grain, whether drafted,
 * whether at the model's guess at the end.
 */
export function viewKey(what: string, scale: number, view: View, shape: Shape): string {
  const { width, height } = sidesOf(shape, view.size);
  const parts = [
    ...(view.size === 1 ? [] : [`${height / shape.grain}x${width / shape.grain}`]),
    ...(view.quality ? [view.quality] : []),
    ...(view.look === "ahead" ? [view.look] : []),
  ];
  return [wholeKey(what, scale), ...(parts.length > 0 ? [parts.join(" ")] : [])].join(":");
}

/** Draws a tree, through the same engine as every search. Its budget is whatever it needs. */
export async function recordTree(
  input: Omit<SearchInput, "strategy" | "units" | "trace">,
  options: TreeOptions,
): Promise<{ tree: Tree; result: SearchResult }> {
  const events: TraceEvent[] = [];
  const result = await runSearch({
    ...input,
    strategy: treeProgram(options),
    units: 1e6,
    describe: { strategy: "tree", options },
    trace: { event: (event) => events.push(event) },
  });
  return { tree: treeOf(events, options, input.generator.traits.shape), result };
}

function treeProgram(options: TreeOptions): SearchFunction {
  return function* (space) {
    const last = space.stages.length - 1;
    let population = yield* start(options.width);
    for (const { index: scale } of space.stages) {
      population = (yield* step(population)).population;
      if (options.tokens) yield* tokens(population);
      const looked = options.scales?.includes(scale) ?? true;
      const whole = scale === last ? [FULL_VIEW] : [];
      // At the end there is nothing ahead.
      const isOther = ({ size, quality, look }: View) =>
        scale < last || (look === "now" && (size < 1 || quality !== undefined));
      const others = looked ? options.previews.filter(isOther) : [];
      for (const view of [...whole, ...others]) {
        for (const reward of options.rewards) yield* score(population, reward, { view });
      }
      if (options.featurePreview !== false && looked && scale < last) {
        yield* features(population, { view: options.featurePreview });
      }
      if (options.copies > 0 && looked && scale < last)
        yield* secondContinuations(space, population, options.copies);
    }
    for (const reward of options.finalRewards ?? []) yield* score(population, reward);
    return { finalists: population, best: 0 } satisfies SearchOutcome;
  };
}

/** Rolls out one extra copy of each of the first roots; the first child would only repeat its parent. */
function* secondContinuations(
  space: SearchSpace,
  population: Population,
  count: number,
): SearchProgram<void> {
  const picks = population.ids.slice(0, count).flatMap((_, row) => [row, row]);
  const both = yield* branch(population, picks, { rule: "copy" });
  const copies = yield* select(
    both,
    picks.flatMap((_, row) => (row % 2 === 1 ? [row] : [])),
    { rule: "copy" },
  );
  const finished = yield* stepTo(copies, space.stages.length);
  yield* score(finished, space.reward);
  yield* release(finished);
}

function treeOf(events: readonly TraceEvent[], { width }: TreeOptions, shape: Shape): Tree {
  const scores: Record<string, readonly number[]> = {};
  const vectors: Record<string, { dims: readonly number[]; base64: string }> = {};
  const signals: Tree["signals"][number][] = [];
  const copies: number[][] = [];
  const drawn: RecordedTokens[] = [];
  for (const event of events) {
    // The main population keeps its key 0; all others are copies.
    if (event.type === "step" && event.population === 0) {
      signals.push({ tokens: event.tokens, signals: event.signals });
    } else if (event.type === "scores" && event.population === 0) {
      scores[viewKey(event.reward, event.stage, event.view, shape)] = event.raw;
    } else if (event.type === "scores") {
      // The copies of a scale are scored before the main population goes on.
      const scale = signals.length - 1;
      while (copies.length < scale) copies.push([]);
      copies.push([...event.raw]);
    } else if (event.type === "tokens") {
      drawn.push({ kind: event.kind, count: event.count, base64: event.base64 });
    } else if (event.type === "features") {
      vectors[viewKey("features", event.stage, event.view, shape)] = {
        dims: event.dims,
        base64: event.base64,
      };
    }
  }
  return {
    width,
    scores,
    features: vectors,
    signals,
    copies,
    ...(drawn.length > 0 ? { tokens: drawn } : {}),
  };
}

/** Tokens of a scale for some of a tree's roots; null if they were not recorded. */
export function tokensOf({ tokens }: Tree, scale: number, roots: readonly number[]): Tokens[] | null {
  const recorded = tokens?.[scale];
  if (!recorded) return null;
  return recordedTokens({ ...recorded, base64: roots.map((root) => recorded.base64[root]!) });
}

/** Signals of a stage for some of a tree's roots. */
export function signalsOf(tree: Tree, scale: number, roots: readonly number[]): StageSignals {
  const { tokens, signals } = tree.signals[scale]!;
  const values = Object.entries(signals).map(
    ([name, list]) => [name, Float64Array.from(roots, (root) => list[root]!)] as const,
  );
  return { tokenHash: roots.map((root) => tokens[root]!), values: Object.fromEntries(values) };
}
