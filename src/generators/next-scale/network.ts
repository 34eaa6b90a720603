import type { Quality } from "../../core/generator.ts";
import type { Task } from "../../core/task.ts";
import type { Tensor } from "../../core/tensor.ts";

/** What one stage is computed from. */
export interface Pass {
  readonly stage: number;
  /** Current candidates. */
  readonly width: number;
  /** Cumulative code at the stage's grid, [width, tokens, channels]; null at the first stage. */
  readonly z: Tensor | null;
  /** Whether the unconditional branch is run. */
  readonly guided: boolean;
}

/** What tokens of the latest stage are drawn again from. */
export interface Revision {
  readonly stage: number;
  readonly width: number;
  /** As in the stage's own pass. */
  readonly z: Tensor | null;
  /** The tokens' own codes, [width, tokens, channels]. */
  readonly values: Tensor;
  /** 1 for the tokens to draw, whose codes do not count, else 0: [width, tokens, 1]. */
  readonly masked: Tensor;
}

export interface PassOutput<State> {
  /** Bit-logit differences, [1 or 2 groups, rows, tokens, channels]; one row stands for all candidates. */
  readonly delta: Tensor;
  readonly state: State;
}

/**
 * The network behind a session. `State` is what candidates carry from stage to stage besides their codes (caches); it is
 * immutable, so sessions can branch without copying.
 */
export interface Network<State> {
  begin(task: Task): Promise<State>;
  run(state: State, input: Pass): Promise<PassOutput<State>>;
  /** Bit-logit differences of a masked pass, [1, width, tokens, channels]: conditional alone. For models that can `refine`. */
  revise?(state: State, input: Revision): Promise<Tensor>;
  /** State of the rows `parents[i]`. */
  select(state: State, parents: readonly number[]): State;
  /** State of when so many stages were done. Absent: the traits have no `rewind`. */
  rewind?(state: State, stages: number): State;
  /** Latents [n, channels, h, w] to images [n, 3, height, width] in [-1, 1]. Drafts: where the traits price them. */
  decode(latents: Tensor, quality: Quality): Promise<Tensor>;
}
