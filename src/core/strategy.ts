import type { Calibration } from "./calibration.ts";
import type { Capability, Look, Shape, Stage, View } from "./generator.ts";
import type { SearchOutcome, SearchProgram } from "./program.ts";
import type { RewardTraits } from "./reward.ts";
import type { Rng } from "./rng.ts";
import type { StandardSchema } from "./standard-schema.ts";
import type { TokenKind } from "./tokens.ts";

/** FLOPs as a strategy sees them; the engine charges exactly these. */
export interface CostModel {
  /** FLOPs per candidate and stage under the run's settings. */
  readonly stages: readonly number[];
  /** Leading stages that run once whatever the width. */
  readonly shared: number;
  readonly prompt: number;
  /** After so many stages; default: all of them. */
  view(view: View, stage?: number): number;
  /** Drawing a share of a stage's tokens again, per candidate. */
  refine(stage: number, share: number): number;
  reward(name: string): number;
  readonly features: number;
  /** One full generation, its full view and its score with the primary reward: the unit of `--budget`. */
  readonly unit: number;
}

/** Everything a search program may look at. */
export interface SearchSpace {
  readonly stages: readonly Stage[];
  readonly shape: Shape;
  /** Looks that the model has; `now` is always among them. */
  readonly looks: readonly Look[];
  /** Looks that the model can draft. */
  readonly drafts: readonly Look[];
  readonly can: readonly Capability[];
  readonly tokens: TokenKind;
  readonly cost: CostModel;
  /** `--budget` in units, and the same in FLOPs. */
  readonly units: number;
  readonly limit: number;
  /** FLOPs not yet spent. */
  remaining(): number;
  /** Randomness for decisions (purposes `select` and `cluster`). */
  readonly rng: Rng;
  /** Name of the primary reward and the traits of all rewards that may be asked for. Scores arrive higher-is-better. */
  readonly reward: string;
  readonly rewards: Readonly<Record<string, RewardTraits>>;
  readonly calibration: Calibration | null;
}

export type SearchFunction = (space: SearchSpace) => SearchProgram<SearchOutcome>;

/** A strategy as a plug-in: description, options, and a factory of search programs. */
export interface Strategy<Options = unknown> {
  readonly name: string;
  readonly summary: string;
  /** Paper and section, or repository. */
  readonly source: string;
  readonly options: StandardSchema<Options>;
  create(options: Options): SearchFunction;
}

/** Typing aid for strategy files and plug-ins. */
export function defineStrategy<Options>(strategy: Strategy<Options>): Strategy<Options> {
  return strategy;
}
