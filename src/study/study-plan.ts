import { createHash } from "node:crypto";
import type { BenchmarkItem, Judge } from "../core/benchmark.ts";
import type { Calibration } from "../core/calibration.ts";
import { FULL_VIEW, type Generator, type View } from "../core/generator.ts";
import type { Reward } from "../core/reward.ts";
import type { SearchFunction } from "../core/strategy.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import type { PlanInput } from "../engine/plan.ts";
import { createSpace } from "../engine/plan.ts";
import { type Tree, viewKey } from "./record-tree.ts";
import { virtualTraits } from "./virtual-rewards.ts";

/** Opened models of a study. */
export interface StudyParts {
  readonly generator: Generator;
  readonly rewards: Readonly<Record<string, Reward>>;
  readonly primaryReward: string;
  readonly features: FeatureSource | null;
  readonly calibration: Calibration | null;
  readonly judge: Judge;
}

/** A strategy with the budgets it runs at, and what it changes of the study's own proposal and features. */
export interface StudyArm {
  readonly name: string;
  readonly search: SearchFunction;
  /** Options of the strategy, defaults filled in: what tells its stored rows from those of another version. */
  readonly options?: unknown;
  /** Hash of a strategy that is a plug-in. */
  readonly version?: string | undefined;
  /** In units of the study's own settings, whatever the arm's: equal budgets are equal FLOPs. */
  readonly budgets: readonly number[];
  /** Searches are run even where a tree could tell. */
  readonly live: boolean;
  /** The generator under settings that differ from the study's. */
  readonly generator?: Generator;
  readonly features?: FeatureSource;
}

export interface StudyPlan {
  readonly seed: string;
  readonly prompts: readonly BenchmarkItem[];
  readonly replicates: number;
  readonly tree: {
    readonly width: number;
    readonly previews: readonly View[];
    /** Scales that are looked at; null: all. */
    readonly scales: readonly number[] | null;
    readonly features: boolean;
    readonly tokens?: boolean | undefined;
    /** Candidates of which a second end is drawn after every look. */
    readonly copies: number;
  };
  /** Rewards that only ever look at finished images. */
  readonly finalRewards: readonly string[];
  /** Reliabilities of the virtual rewards made of the judge. */
  readonly reliabilities: readonly number[];
  readonly arms: readonly StudyArm[];
}

/** One prompt, one repetition. */
export interface Pair {
  readonly prompt: number;
  readonly replicate: number;
}

/** A recorded tree with the judge's verdict on every root. */
export interface TreeRow extends Pair {
  /** Which settings the tree was drawn with (`proposalName`). */
  readonly proposal: string;
  readonly tag: string;
  readonly tree: Tree;
  readonly correct: readonly boolean[];
}

/** What one search of one arm came to. */
export interface StudyCell extends Pair {
  readonly arm: string;
  readonly units: number;
  readonly tag: string;
  readonly correct: boolean;
  /** Raw score of the answer by the run's reward. */
  readonly score: number;
  /** FLOPs spent, in units of the study's own settings. */
  readonly spent: number;
  readonly mode: "offline" | "live";
}

/** Finished rows of an earlier attempt, and where to put new ones. */
export interface StudyStore {
  readonly trees: readonly TreeRow[];
  readonly cells: readonly StudyCell[];
  addTree(row: TreeRow): void;
  addCell(row: StudyCell): void;
}

export function pairKey({ prompt, replicate }: Pair): string {
  return `${prompt}/${replicate}`;
}

/** Name of the study's own settings. */
export const ownProposal = "own";

/** Name of an arm's settings: equal settings share their trees. */
export function proposalOf({ generator }: StudyArm, parts: StudyParts): string {
  if (!generator) return ownProposal;
  const [text, own] = [generator, parts.generator].map(({ traits }) => JSON.stringify(traits.settings));
  return text === own ? ownProposal : createHash("sha256").update(text!).digest("hex").slice(0, 8);
}

/** Generators that trees are drawn with, by the name of their settings: the study's own, then those of arms that differ. */
export function proposalsOf(plan: StudyPlan, parts: StudyParts): Map<string, Generator> {
  const own = [ownProposal, parts.generator] as const;
  const drawn = plan.arms.filter(({ live }) => !live);
  return new Map([
    own,
    ...drawn.map((arm) => [proposalOf(arm, parts), partsOf(arm, parts).generator] as const),
  ]);
}

/** The study's parts as one arm sees them. */
export function partsOf(arm: StudyArm, parts: StudyParts): StudyParts {
  return {
    ...parts,
    generator: arm.generator ?? parts.generator,
    features: arm.features ?? parts.features,
  };
}

/** What prices a search of an arm: the judge and rewards made of it cost nothing, they are part of no real method. */
export function planInputOf(
  arm: StudyArm,
  units: number,
  parts: StudyParts,
  reliabilities: readonly number[],
): PlanInput {
  const rewards = { ...parts.rewards, ...virtualTraits(parts.judge.id, reliabilities) };
  const own = partsOf(arm, parts);
  const input = { ...own, generator: own.generator.traits, strategy: arm.search, units, rewards };
  return { ...input, units: units * unitRatio(arm, parts, input) };
}

/** The study's own unit in units of an arm, whose guidance or features may make a whole image cheaper. */
function unitRatio(arm: StudyArm, parts: StudyParts, input: PlanInput): number {
  return arm.generator ? unitOf(input, parts) / unitOf(input) : 1;
}

/** Share of a unit that a candidate has cost after each stage, before anything is looked at. */
export function spentAfter({ arms: [arm] }: StudyPlan, parts: StudyParts): number[] {
  const { cost } = createSpace(
    planInputOf({ ...arm!, generator: parts.generator }, 1, parts, []),
    (limit) => limit,
  );
  let spent = cost.prompt;
  return cost.stages.map((flops) => {
    spent += flops;
    return spent / cost.unit;
  });
}

/** Price of every look that trees record, with its score, as a share of a unit; by `viewKey` of no reward. */
export function lookPrices(plan: StudyPlan, parts: StudyParts): Record<string, number> {
  const input = planInputOf({ ...plan.arms[0]!, generator: parts.generator }, 1, parts, []);
  const { cost, shape, stages } = createSpace(input, (limit) => limit);
  const looks = [FULL_VIEW, ...plan.tree.previews];
  return Object.fromEntries(
    stages.flatMap(({ index }) =>
      looks.map((view) => [
        viewKey("", index, view, shape),
        (cost.view(view, index + 1) + cost.reward(parts.primaryReward)) / cost.unit,
      ]),
    ),
  );
}

/** FLOPs of one unit: the input's own, or with the study's generator. */
export function unitOf(input: PlanInput, parts?: StudyParts): number {
  const priced = parts ? { ...input, generator: parts.generator.traits } : input;
  return createSpace(priced, (limit) => limit).cost.unit;
}
