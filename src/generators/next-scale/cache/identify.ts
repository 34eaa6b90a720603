import { attention, spread } from "./attention.ts";
import type { CacheClasses } from "./classes.ts";
import type { Crowded } from "./evict.ts";

/** Queries of a scale that are looked at, and history weights that count as the selected ones. */
const OBSERVED = 16;
const SELECTED = 8;
/** Scales with fewer tokens than this say little. */
const LEAST_TOKENS = 9;
/** Drafters lie so many standard deviations below the mean of all layers. */
const DRAFTER = -1;

/** A head at a scale, after the scale was drawn: what policies see of it, and when. */
export type Seen = Omit<Crowded, "grid" | "first"> & { readonly stage: number };

/**
 * Collects how layers and heads look back while candidates are drawn. ScaleKV's attention selectivity index is the share of
 * attention on the current scale times the share on the most attended tokens of the history; HACK's measure of a head is
 * how much the attention to a token varies between queries.
 */
export class HeadObserver {
  /** By layer and scale. */
  readonly #layers = new Map<string, { current: number[]; selectivity: number[] }>();
  /** By layer and head. */
  readonly #variance = new Map<string, number[]>();

  see({ layer, head, stage, keys, queries }: Seen): void {
    if (queries.count < LEAST_TOKENS || keys.count === queries.count) return;
    const rows = spread(queries.count, OBSERVED).map((query) => attention(queries.at(query), keys));
    const history = keys.count - queries.count;
    const current = mean(rows.map((row) => sum(row.subarray(history))));
    const selected = mean(
      rows.map(
        (row) => sum(row.slice(0, history).sort().subarray(-SELECTED)) / (sum(row.subarray(0, history)) || 1),
      ),
    );
    const place = `${layer}/${stage}`;
    const entry = this.#layers.get(place) ?? { current: [], selectivity: [] };
    entry.current.push(current);
    entry.selectivity.push(current * selected);
    this.#layers.set(place, entry);
    const list = this.#variance.get(`${layer}/${head}`) ?? [];
    list.push(meanVariance(rows, keys.count));
    this.#variance.set(`${layer}/${head}`, list);
  }

  /** What was seen, and the classes that follow. */
  classes(
    model: string,
    prompts: number,
    shape: { readonly depth: number; readonly heads: number },
  ): CacheClasses {
    const depths = Array.from({ length: shape.depth }, (_, layer) => layer);
    const stages = [...new Set([...this.#layers.keys()].map((place) => Number(place.split("/")[1])))];
    const at = (layer: number, stage: number, what: "current" | "selectivity"): number =>
      mean(this.#layers.get(`${layer}/${stage}`)?.[what] ?? []);
    const scores = depths.map((layer) =>
      mean(
        stages.map((stage) => {
          const all = depths.map((other) => at(other, stage, "selectivity"));
          const deviation = Math.sqrt(mean(all.map((value) => (value - mean(all)) ** 2)));
          return deviation > 0 ? (all[layer]! - mean(all)) / deviation : 0;
        }),
      ),
    );
    const lowest = depths.toSorted((a, b) => scores[a]! - scores[b]!)[0]!;
    const variance = depths.map((layer) =>
      Array.from({ length: shape.heads }, (_, head) => mean(this.#variance.get(`${layer}/${head}`) ?? [])),
    );
    const sorted = variance.flat().sort((a, b) => a - b);
    const median = sorted[sorted.length >> 1]!;
    return {
      schemaVersion: 1,
      model,
      prompts,
      layers: depths.map((layer) => ({
        current: round(mean(stages.map((stage) => at(layer, stage, "current")))),
        selectivity: round(mean(stages.map((stage) => at(layer, stage, "selectivity")))),
        score: round(scores[layer]!),
      })),
      variance: variance.map((row) => row.map(round)),
      drafters: depths.filter((layer) => layer === lowest || scores[layer]! < DRAFTER),
      structural: variance.map((row) => row.map((value) => value >= median)),
    };
  }
}

/** Variance over queries of the attention to a token, in units of the even share, averaged over tokens. */
function meanVariance(rows: readonly Float64Array[], tokens: number): number {
  let total = 0;
  for (let token = 0; token < tokens; token++) {
    const column = rows.map((row) => row[token]! * tokens);
    const centre = mean(column);
    total += mean(column.map((value) => (value - centre) ** 2));
  }
  return total / tokens;
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((total, value) => total + value, 0) / values.length;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
