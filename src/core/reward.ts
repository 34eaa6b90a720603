import type { CandidateId } from "./ids.ts";
import type { RgbImage } from "./image.ts";

/** One image to be scored. */
export interface RewardItem {
  /** The picture; of a clip its middle frame. */
  readonly image: RgbImage;
  /** All frames of a clip. */
  readonly frames?: readonly RgbImage[];
  readonly prompt: string;
  /** The picture that is edited, where the task has one. */
  readonly source?: RgbImage;
  /** The data-set row of the prompt (GenEval's tag, include, ...), or {}. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly id: CandidateId;
}

export interface RewardContext {
  readonly signal: AbortSignal;
  /** Whether the images are previews of unfinished candidates, and after which stage of how many. */
  readonly stage: { readonly kind: "preview" | "final"; readonly index: number; readonly count: number };
  readonly seed: number | string;
  log(level: "debug" | "info" | "warn", message: string): void;
}

export interface RewardScores {
  /** Same length and order as the batch. `null`: not applicable to this item (only a mixture can use that). */
  readonly scores: ArrayLike<number | null>;
  /** JSON-safe explanations, one per item; they go to the run folder. */
  readonly details?: readonly (Readonly<Record<string, unknown>> | undefined)[];
}

/** What a strategy and a report must know of a reward. */
export interface RewardTraits {
  readonly name: string;
  /** Changes whenever the same input could give another score. Part of the memo key. */
  readonly version: string;
  readonly direction: "higher" | "lower";
  readonly range: readonly [min: number, max: number] | null;
  /** Lambda at which the reward's usual spread within a prompt gives weights of moderate contrast. */
  readonly suggestedLambda: number;
  /** FLOPs per scored image. */
  readonly flops: number;
  readonly license: string;
  readonly source: string;
  /** Whether its details tell `atoms`: the questions that a score is made of, each with its answer (`Atom`). */
  readonly atoms?: boolean;
  /** Identifier of the weights behind the reward; a judge with the same identifier is not independent. */
  readonly modelId?: string;
}

/** A verifier: scores finished images and previews. Batched, asynchronous, disposable. */
export interface Reward extends RewardTraits, AsyncDisposable {
  /** The host splits larger batches. */
  readonly maxBatch?: number;
  /** Milliseconds that one call of `score` may take before the host gives up; the host has a default. */
  readonly timeoutMs?: number;
  score(batch: readonly RewardItem[], context: RewardContext): Promise<RewardScores> | RewardScores;
  /**
   * For rewards that only compare (ranks): scores of the images of one question, from the details that `score` gave of each.
   * They take the place of `score`'s own, which must not depend on the batch. Absent: those stand.
   */
  among?(details: readonly (Readonly<Record<string, unknown>> | undefined)[]): readonly number[];
}
