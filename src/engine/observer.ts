import type { CostKind } from "../core/budget.ts";
import type { SearchAction } from "../core/program.ts";

/** Where a search stands; emitted after every action. */
export interface ProgressEvent {
  readonly action: SearchAction["type"] | "end";
  /** Stages done by the population concerned, of how many. */
  readonly stage: number;
  readonly stages: number;
  readonly width: number;
  /** FLOPs. */
  readonly spent: number;
  readonly limit: number;
}

/**
 * Measures durations; implemented outside the engine, which has no clock. `begin` is called before a model runs, and
 * the function it returns when the model is done.
 */
export interface SearchTimer {
  begin(kind: CostKind, stage: number, count: number): () => void;
}
