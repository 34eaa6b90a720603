import { rewardRegistry } from "../src/assemble/builtins.ts";
import { openSearch, planConfig } from "../src/assemble/open-search.ts";
import { resolveConfig } from "../src/config/resolve.ts";
import { Disposal } from "../src/core/disposal.ts";
import type { RewardContext, RewardItem } from "../src/core/reward.ts";
import { distributeCounts, generatePrompts } from "../src/eval/geneval/prompts.ts";
import { loadReward } from "../src/plugins/load-reward.ts";
import { createScoring } from "../src/scoring/create-scoring.ts";

// `tsx scripts/reward-agreement.ts [PROMPTS] [SAMPLES] [REWARD...]`: how well rewards agree, within prompts, with the
// verdict of the held-out judge (GenEval's rule on detector-b). One JSON object on stdout; the table of the cards.

const [promptCount = "60", sampleCount = "8", ...named] = process.argv.slice(2);
const samples = Number(sampleCount);
const names = named.length > 0 ? named : ["clip", "geneval"];
const host = {
  baseDir: process.cwd(),
  allowDownload: false,
  log: (_level: string, message: string) => console.error(message),
};
const context: RewardContext = {
  signal: new AbortController().signal,
  stage: { kind: "final", index: 0, count: 1 },
  seed: 0,
  log: host.log,
};

/** One prompt's images: the judge's verdict on each, and each reward's score. */
interface Group {
  readonly verdicts: readonly boolean[];
  readonly scores: Readonly<Record<string, readonly number[]>>;
}

const owned = new Disposal();
try {
  const load = async (name: string, options?: object) => {
    const { value } = await loadReward(name, options, { ...host, registry: rewardRegistry });
    return owned.use(createScoring(value, { options }));
  };
  const rewards = new Map<string, Awaited<ReturnType<typeof load>>>();
  for (const name of names) rewards.set(name, await load(name));
  const judge = await load("geneval", { detector: "detector-b" });
  const { prompts } = generatePrompts({
    seed: "reward-agreement",
    counts: distributeCounts(Number(promptCount)),
  });
  const { config } = resolveConfig({
    sets: ["task.prompt=x", `budget=${samples}`, "strategy.name=best-of-n", "reward.name=clip"],
  });
  const planned = await planConfig(config, host);
  const open = owned.use(await openSearch(planned));
  const groups: Group[] = [];
  for (const metadata of prompts) {
    const { prompt } = metadata;
    const { candidates } = await open.run({ prompt, seed: prompt, metadata: { ...metadata } });
    const items = candidates.map(
      ({ id, image }): RewardItem => ({ id, image, prompt: metadata.prompt, metadata: { ...metadata } }),
    );
    const judged = await judge.score(items, context);
    const scores: Record<string, number[]> = {};
    for (const [name, reward] of rewards) {
      scores[name] = Array.from((await reward.score(items, context)).scores, (score) => score ?? Number.NaN);
    }
    groups.push({ verdicts: Array.from(judged.scores, (score) => score === 1), scores });
    console.error(`${groups.length}/${prompts.length} ${metadata.prompt}`);
  }
  const passRate = mean(groups.map(({ verdicts }) => mean(verdicts.map(Number))));
  const oracle = mean(groups.map(({ verdicts }) => Number(verdicts.includes(true))));
  const table = Object.fromEntries(names.map((name) => [name, agreement(name, groups)]));
  const result = { prompts: groups.length, samples, judge: judge.modelId, passRate, oracle, rewards: table };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
} finally {
  await owned[Symbol.asyncDispose]();
}

function agreement(name: string, groups: readonly Group[]) {
  const rows = groups.map(({ verdicts, scores }) => ({ verdicts, scores: scores[name]! }));
  // Prompts whose images all pass or all fail say nothing about the order within them.
  const mixed = rows.filter(({ verdicts }) => new Set(verdicts).size === 2);
  return {
    mixedPrompts: mixed.length,
    withinPromptCorrelation: mean(
      mixed.map(({ verdicts, scores }) => correlation(verdicts.map(Number), scores)),
    ),
    pairsInOrder: mean(mixed.map(({ verdicts, scores }) => pairsInOrder(verdicts, scores))),
    bestOfN: mean(rows.map(({ verdicts, scores }) => Number(verdicts[scores.indexOf(Math.max(...scores))]))),
    spreadWithinPrompt: mean(
      rows.map(({ scores }) => Math.sqrt(mean(scores.map((s) => (s - mean(scores)) ** 2)))),
    ),
  };
}

/** Share of (passing, failing) pairs of a prompt that the reward ranks rightly; ties count half. */
function pairsInOrder(verdicts: readonly boolean[], scores: readonly number[]): number {
  const of = (wanted: boolean) => scores.filter((_, i) => verdicts[i] === wanted);
  return mean(of(true).flatMap((a) => of(false).map((b) => (a > b ? 1 : a === b ? 0.5 : 0))));
}

function correlation(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [mean(x), mean(y)];
  const covariance = mean(x.map((value, i) => (value - mx) * (y[i]! - my)));
  const deviations = Math.sqrt(mean(x.map((v) => (v - mx) ** 2)) * mean(y.map((v) => (v - my) ** 2)));
  return deviations === 0 ? 0 : covariance / deviations;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
