import pLimit from "p-limit";
import { TtsVarError } from "../core/errors.ts";
import type { Reward, RewardTraits } from "../core/reward.ts";
import type { LatentSize, Sampler, SamplingSettings } from "../core/sampler.ts";
import type { Calibration, SearchFunction } from "../core/strategy.ts";
import type { FeatureSource } from "../engine/feature-source.ts";
import { type PlanInput, planSearch } from "../engine/plan.ts";
import { runSearch } from "../engine/run-search.ts";
import type { Judge } from "../eval/judge.ts";
import type { GenevalMetadata } from "../geneval/rules.ts";
import { decideOffline, NotRecorded } from "./decide-offline.ts";
import { recordTree, type Tree, viewKey } from "./record-tree.ts";

/** Opened models of a study. */
export interface StudyParts {
  readonly sampler: Sampler;
  readonly rewards: Readonly<Record<string, Reward>>;
  readonly primaryReward: string;
  readonly features: FeatureSource | null;
  readonly settings: SamplingSettings;
  readonly calibration: Calibration | null;
  readonly judge: Judge;
}

export interface StudyArm {
  readonly name: string;
  readonly search: SearchFunction;
  readonly budgets: readonly number[];
}

export interface StudyPlan {
  readonly seed: string;
  readonly prompts: readonly GenevalMetadata[];
  readonly replicates: number;
  readonly treeWidth: number;
  readonly previews: readonly (LatentSize | null)[];
  readonly arms: readonly StudyArm[];
}

/** A recorded tree with the judge's verdict on every root. */
export interface TreeRow {
  readonly prompt: number;
  readonly replicate: number;
  readonly tag: string;
  readonly tree: Tree;
  readonly correct: readonly boolean[];
}

/** What one search of one arm came to. */
export interface StudyCell {
  readonly arm: string;
  readonly units: number;
  readonly prompt: number;
  readonly replicate: number;
  readonly tag: string;
  readonly correct: boolean;
  /** Raw score of the answer by the run's reward. */
  readonly score: number;
  /** FLOPs spent, in units. */
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

/** Name of the judge as a reward, for the oracle. It costs nothing there: it is not part of any real method. */
export const judgeReward = "judge";

/** Draws what is missing, and returns all trees and cells in a fixed order, whatever the order of the work. */
export async function runStudy(
  plan: StudyPlan,
  parts: StudyParts,
  store: StudyStore,
  options: {
    readonly jobs: number;
    readonly signal: AbortSignal;
    onProgress?(done: number, of: number): void;
  },
): Promise<{ trees: TreeRow[]; cells: StudyCell[] }> {
  for (const arm of plan.arms)
    for (const units of arm.budgets) planSearch(planInput(arm.search, units, parts));
  const limit = pLimit(options.jobs);
  const trees = new Map(store.trees.map((row) => [pairKey(row), row]));
  const pairs = plan.prompts.flatMap((_, prompt) =>
    Array.from({ length: plan.replicates }, (_, replicate) => ({ prompt, replicate })),
  );
  let done = 0;
  const tick = (of: number): void => options.onProgress?.(++done, of);
  const undrawn = pairs.filter((pair) => !trees.has(pairKey(pair)));
  await Promise.all(
    undrawn.map((pair) =>
      limit(async () => {
        options.signal.throwIfAborted();
        const row = await drawTree(plan, parts, pair, options.signal);
        store.addTree(row);
        trees.set(pairKey(row), row);
        tick(undrawn.length);
      }),
    ),
  );

  const cells = new Map(store.cells.map((cell) => [cellKey(cell), cell]));
  const live: (() => Promise<void>)[] = [];
  for (const pair of pairs) {
    const tree = trees.get(pairKey(pair))!;
    for (const arm of plan.arms) {
      for (const units of arm.budgets) {
        const key = cellKey({ ...pair, arm: arm.name, units });
        if (cells.has(key)) continue;
        const decided = offlineCell(plan, parts, arm, units, tree);
        if (decided) cells.set(key, decided);
        else
          live.push(async () => {
            options.signal.throwIfAborted();
            const cell = await liveCell(plan, parts, arm, units, pair, options.signal);
            store.addCell(cell);
            cells.set(key, cell);
            tick(live.length);
          });
      }
    }
  }
  done = 0;
  await Promise.all(live.map((work) => limit(work)));
  return {
    trees: pairs.map((pair) => trees.get(pairKey(pair))!),
    cells: plan.arms.flatMap((arm) =>
      arm.budgets.flatMap((units) =>
        pairs.map((pair) => cells.get(cellKey({ ...pair, arm: arm.name, units }))!),
      ),
    ),
  };
}

interface Pair {
  readonly prompt: number;
  readonly replicate: number;
}

function pairKey({ prompt, replicate }: Pair): string {
  return `${prompt}/${replicate}`;
}

function cellKey(cell: Pair & { arm: string; units: number }): string {
  return `${cell.arm}@${cell.units}/${pairKey(cell)}`;
}

function seedOf(plan: StudyPlan, { replicate }: Pair): string {
  return `${plan.seed}/${replicate}`;
}

async function drawTree(
  plan: StudyPlan,
  parts: StudyParts,
  pair: Pair,
  signal: AbortSignal,
): Promise<TreeRow> {
  const metadata = plan.prompts[pair.prompt]!;
  const { tree, result } = await recordTree(
    { ...parts, prompt: metadata.prompt, metadata: { ...metadata }, seed: seedOf(plan, pair), signal },
    {
      width: plan.treeWidth,
      rewards: Object.keys(parts.rewards),
      previews: plan.previews,
      featurePreview: parts.features ? (plan.previews[0] ?? null) : false,
      copies: 0,
    },
  );
  const judged = await parts.judge.judge(result.candidates.map(({ image }) => ({ image, metadata })));
  return { ...pair, tag: metadata.tag, tree, correct: judged.map(({ verdict }) => verdict.correct) };
}

function planInput(strategy: SearchFunction, units: number, parts: StudyParts): PlanInput {
  const judge: RewardTraits = {
    name: judgeReward,
    version: parts.judge.id,
    direction: "higher",
    range: [0, 1],
    suggestedLambda: 1,
    flops: 0,
    license: "",
    source: "",
  };
  return { ...parts, strategy, units, rewards: { ...parts.rewards, [judgeReward]: judge } };
}

function offlineCell(
  plan: StudyPlan,
  parts: StudyParts,
  arm: StudyArm,
  units: number,
  row: TreeRow,
): StudyCell | null {
  const last = parts.sampler.scales.length - 1;
  const verdicts = { [viewKey(judgeReward, last, null)]: row.correct.map(Number) };
  const tree: Tree = { ...row.tree, scores: { ...row.tree.scores, ...verdicts } };
  const prompt = plan.prompts[row.prompt]!.prompt;
  const input = { ...planInput(arm.search, units, parts), prompt, seed: seedOf(plan, row) };
  try {
    const { root, spending } = decideOffline(input, tree);
    return {
      arm: arm.name,
      units,
      prompt: row.prompt,
      replicate: row.replicate,
      tag: row.tag,
      correct: row.correct[root]!,
      score: tree.scores[viewKey(parts.primaryReward, last, null)]![root]!,
      spent: spending.total / planSearchUnit(input),
      mode: "offline",
    };
  } catch (error) {
    if (error instanceof NotRecorded) return null;
    throw error;
  }
}

function planSearchUnit(input: PlanInput): number {
  return planSearch(input).unit;
}

async function liveCell(
  plan: StudyPlan,
  parts: StudyParts,
  arm: StudyArm,
  units: number,
  pair: Pair,
  signal: AbortSignal,
): Promise<StudyCell> {
  const metadata = plan.prompts[pair.prompt]!;
  const judge: Reward = {
    ...planInput(arm.search, units, parts).rewards[judgeReward]!,
    async score(batch) {
      const judged = await parts.judge.judge(batch.map(({ image }) => ({ image, metadata })));
      return { scores: judged.map(({ verdict }) => Number(verdict.correct)) };
    },
    async [Symbol.asyncDispose]() {},
  };
  const {
    best,
    spending,
    plan: priced,
  } = await runSearch({
    ...parts,
    strategy: arm.search,
    rewards: { ...parts.rewards, [judgeReward]: judge },
    units,
    prompt: metadata.prompt,
    metadata: { ...metadata },
    seed: seedOf(plan, pair),
    signal,
  });
  const [judged] = await parts.judge.judge([{ image: best.image, metadata }]);
  const score = best.scores[parts.primaryReward];
  if (score === undefined || !judged)
    throw new TtsVarError("INTERNAL", `arm ${arm.name} gave no scored answer`);
  return {
    ...pair,
    arm: arm.name,
    units,
    tag: metadata.tag,
    correct: judged.verdict.correct,
    score,
    spent: spending.total / priced.unit,
    mode: "live",
  };
}
