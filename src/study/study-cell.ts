import { TtsVarError } from "../core/errors.ts";
import type { Reward } from "../core/reward.ts";
import { runSearch } from "../engine/run-search.ts";
import { decideOffline, NotRecorded } from "./decide-offline.ts";
import { type Tree, wholeKey } from "./record-tree.ts";
import {
  type Pair,
  partsOf,
  planInputOf,
  type StudyArm,
  type StudyCell,
  type StudyParts,
  type StudyPlan,
  type TreeRow,
  unitOf,
} from "./study-plan.ts";
import { judgeReward, virtualName, virtualScore, virtualTraits } from "./virtual-rewards.ts";

export interface CellInput {
  readonly plan: StudyPlan;
  readonly parts: StudyParts;
  readonly arm: StudyArm;
  readonly units: number;
}

/** Seed of all searches and trees of a pair: candidate n is the same in every arm. */
export function seedOf(plan: StudyPlan, { replicate }: Pair): string {
  return `${plan.seed}/${replicate}`;
}

/** The arm's answer from a recorded tree of its proposal; null when only a live run can tell. */
export function offlineCell({ plan, parts, arm, units }: CellInput, row: TreeRow): StudyCell | null {
  const last = parts.generator.traits.stages.length - 1;
  const seed = seedOf(plan, row);
  const { prompt } = plan.prompts[row.prompt]!;
  const input = { ...planInputOf(arm, units, parts, plan.reliabilities), prompt, seed };
  try {
    const { root, spending } = decideOffline(
      input,
      withVerdicts(row, last, plan.reliabilities, { seed, prompt }),
      {
        features: arm.features === undefined,
      },
    );
    return {
      arm: arm.name,
      units,
      prompt: row.prompt,
      replicate: row.replicate,
      tag: row.tag,
      correct: row.correct[root]!,
      score: row.tree.scores[wholeKey(parts.primaryReward, last)]![root]!,
      spent: spending.total / unitOf(input, parts),
      mode: "offline",
    };
  } catch (error) {
    if (error instanceof NotRecorded) return null;
    throw error;
  }
}

function withVerdicts(
  { tree, correct }: TreeRow,
  last: number,
  reliabilities: readonly number[],
  where: { readonly seed: string; readonly prompt: string },
): Tree {
  const names = [judgeReward, ...reliabilities.map(virtualName)];
  const verdicts = names.map((name) => [
    wholeKey(name, last),
    correct.map((right, root) => virtualScore(name, right, `c${root}`, where)),
  ]);
  return { ...tree, scores: { ...tree.scores, ...Object.fromEntries(verdicts) } };
}

/** The arm's answer by a search of its own. */
export async function liveCell(
  { plan, parts, arm, units }: CellInput,
  pair: Pair,
  signal: AbortSignal,
): Promise<StudyCell> {
  const metadata = plan.prompts[pair.prompt]!;
  const seed = seedOf(plan, pair);
  const where = { seed, prompt: metadata.prompt };
  const virtual = Object.entries(virtualTraits(parts.judge.id, plan.reliabilities)).map(([name, traits]) => {
    const reward: Reward = {
      ...traits,
      async score(batch) {
        const judged = await parts.judge.judge(batch.map(({ image }) => ({ image, item: metadata })));
        return {
          scores: judged.map(({ correct }, index) => virtualScore(name, correct, batch[index]!.id, where)),
        };
      },
      async [Symbol.asyncDispose]() {},
    };
    return [name, reward] as const;
  });
  const input = planInputOf(arm, units, parts, plan.reliabilities);
  const { best, spending } = await runSearch({
    ...partsOf(arm, parts),
    strategy: arm.search,
    rewards: { ...parts.rewards, ...Object.fromEntries(virtual) },
    units: input.units,
    task: { prompt: metadata.prompt, seed, metadata: { ...metadata } },
    signal,
  });
  const [judged] = await parts.judge.judge([{ image: best.image, item: metadata }]);
  const score = best.scores[parts.primaryReward];
  if (score === undefined || !judged)
    throw new TtsVarError("INTERNAL", `arm ${arm.name} gave no scored answer`);
  return {
    arm: arm.name,
    units,
    ...pair,
    tag: metadata.tag,
    correct: judged.correct,
    score,
    spent: spending.total / unitOf(input, parts),
    mode: "live",
  };
}
