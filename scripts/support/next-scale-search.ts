import { openSearch, planConfig } from "../../src/assemble/open-search.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { Judge } from "../../src/core/benchmark.ts";
import type { GenevalMetadata } from "../../src/eval/geneval/rules.ts";
import { promptsOf } from "./prompts-of.ts";
import { type Columns, push, write } from "./study-file.ts";

const host = { baseDir: process.cwd(), allowDownload: false, log: () => undefined };

/** Settings of a search, as `--set` has them; the prompt is each task's own. */
type Arm = Readonly<Record<string, unknown>>;

async function open(arm: Arm) {
  const given = { threads: 1, "task.prompt": "a photo of a cup", ...arm };
  const { config } = resolveConfig({
    flags: Object.entries(given).map(([path, value]) => ({ path, value, flag: path })),
  });
  const planned = await planConfig(config, host);
  return { unit: planned.plan.unit, search: await openSearch(planned) };
}

/** By tasks in turn, so that a run that was cut short has seen all of them. */
function mixed(perTag: number, seed: string): readonly GenevalMetadata[] {
  const prompts = promptsOf(perTag, seed);
  const seen = new Map<string, number>();
  const turn = (tag: string): number => {
    seen.set(tag, (seen.get(tag) ?? 0) + 1);
    return seen.get(tag)!;
  };
  return prompts
    .map((prompt) => ({ prompt, at: turn(prompt.tag) }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ prompt }) => prompt);
}

/**
 * Runs every arm on every prompt. Figures: the judge's verdict, the reward, the price in units of the first arm's model, how often
 * the reward was asked, and changes to the reference on the same prompt and seed.
 */
async function compareArms(
  name: string,
  arms: Readonly<Record<string, Arm>>,
  reference: string,
  prompts: readonly GenevalMetadata[],
  judge: Judge<GenevalMetadata>,
): Promise<void> {
  const opened = await Promise.all(
    Object.entries(arms).map(async ([label, arm]) => ({ label, ...(await open(arm)) })),
  );
  const unit = opened[0]!.unit;
  const columns: Columns = new Map();
  for (const [index, metadata] of prompts.entries()) {
    const task = { prompt: metadata.prompt, seed: index, metadata: { ...metadata } };
    const found = [];
    for (const { label, search } of opened) {
      const { best, spending, stages } = await search.run(task);
      const [verdict] = await judge.judge([{ item: metadata, image: best.image }]);
      const reward = Object.values(best.scores)[0]!;
      const scores = stages.reduce((sum, row) => sum + row.scores, 0);
      found.push({ label, correct: verdict!.correct ? 1 : 0, reward, units: spending.total / unit, scores });
    }
    const base = found.find(({ label }) => label === reference)!;
    for (const { label, ...figures } of found) {
      push(columns, label, {
        ...figures,
        correctChange: figures.correct - base.correct,
        rewardChange: figures.reward - base.reward,
      });
    }
    await write(name, { prompts: index + 1 }, columns);
  }
  for (const { search } of opened) await search[Symbol.asyncDispose]();
}

/** Best of 8 of a pair (CoDe) against best of 8 of its large model. */
export async function studyBest(judge: Judge<GenevalMetadata>, perTag: number): Promise<void> {
  const best = (budget: number, model: Arm = {}): Arm => ({
    budget,
    "strategy.name": "best-of-n",
    ...model,
  });
  const pair = (at: number): Arm => ({ "model.name": "code", "model.options.at": at });
  const pruned = (budget: number, shape: readonly number[]): Arm => ({
    ...pair(4),
    ...{ budget, "strategy.name": "halving" },
    "strategy.options": { scales: [3], shape, calibrated: false },
  });
  const arms = {
    "large, one": best(1),
    "large, best of 5": best(5),
    "large, best of 8": best(8),
    "pair at 4, best of 8": best(8, pair(4)),
    "pair at 5, best of 8": best(8, pair(5)),
    "pair at 4, 8 drafts, 4 finished": pruned(6.2, [2, 1]),
    "pair at 4, 8 drafts, 2 finished": pruned(4.6, [4, 1]),
  };
  await compareArms("best", arms, "large, best of 8", mixed(perTag, "next-scale-best"), judge);
}

/** Refine-and-keep-if-better on HMAR, and what its price buys otherwise. */
export async function studyRefine(judge: Judge<GenevalMetadata>, perTag: number): Promise<void> {
  const hmar = { "model.name": "hmar" };
  const best = (budget: number): Arm => ({ ...hmar, budget, "strategy.name": "best-of-n" });
  const moves = (budget: number, drafts: boolean, share = 0.25): Arm => ({
    ...hmar,
    ...{ budget, "strategy.name": "polish", "strategy.options": { n: 1, share, drafts } },
  });
  const arms = {
    one: best(1),
    "best of 2": best(2),
    "best of 3": best(3),
    "4 moves by drafts": moves(2.1, true),
    "8 moves by drafts": moves(3, true),
    "3 moves by full views": moves(2.6, false),
  };
  await compareArms("refine", arms, "one", mixed(perTag, "next-scale-refine"), judge);
}

/** HMAR with more and fewer masked passes, one image a prompt. */
export async function studyPasses(judge: Judge<GenevalMetadata>, perTag: number): Promise<void> {
  const one = (passes: readonly (readonly number[])[]): Arm => ({
    ...{ "model.name": "hmar", budget: 1, "strategy.name": "single", "model.options.passes": passes },
  });
  const arms = {
    "one pass a scale": one([[1], [4], [9], [16], [36], [64]]),
    "the folder's": one([[1], [1, 3], [1, 1, 2, 5], [16], [36], [64]]),
    "two passes a scale": one([[1], [1, 3], [3, 6], [6, 10], [12, 24], [24, 40]]),
    "three passes a scale": one([[1], [1, 1, 2], [1, 3, 5], [3, 5, 8], [6, 12, 18], [12, 20, 32]]),
  };
  await compareArms("passes", arms, "one pass a scale", mixed(perTag, "next-scale-passes"), judge);
}

const flexvar: Arm = { "model.name": "flexvar", budget: 1, "strategy.name": "single" };

/** FlexVAR by number of steps, one image a prompt. */
export async function studySteps(judge: Judge<GenevalMetadata>, perTag: number): Promise<void> {
  const arms = Object.fromEntries<Arm>(
    [6, 4, 5, 7, 8, 9, 10].map((count) => [`${count} steps`, { ...flexvar, "model.options.steps": count }]),
  );
  await compareArms("steps", arms, "6 steps", mixed(perTag, "next-scale-steps"), judge);
}

/** FlexVAR in shapes that it was not trained on, one image a prompt. */
export async function studyShapes(judge: Judge<GenevalMetadata>, perTag: number): Promise<void> {
  const arms = Object.fromEntries<Arm>(
    ["1:1", "4:3", "3:4", "2:1", "1:2"].map((ratio) => [ratio, { ...flexvar, "model.ratio": ratio }]),
  );
  await compareArms("shapes", arms, "1:1", mixed(perTag, "next-scale-steps"), judge);
}

/** VAR's rejection sampling by a classifier (Tian et al. 2024, section 5.1), on prompts of one object. */
export async function studyRejection(judge: Judge<GenevalMetadata>, prompts: number): Promise<void> {
  const arms = Object.fromEntries<Arm>(
    [1, 2, 4, 8, 16].map((count) => [
      count === 1 ? "one" : `best of ${count}`,
      {
        ...{ "model.name": "var", budget: count, "strategy.name": "best-of-n" },
        ...{ "strategy.options": { n: count }, "reward.name": "classifier" },
      },
    ]),
  );
  const single = promptsOf(prompts, "next-scale-rejection").filter(({ tag }) => tag === "single_object");
  await compareArms("rejection", arms, "one", single, judge);
}
