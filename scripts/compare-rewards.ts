/**
 * Two variants of a reward on the same pictures: whether they rank and choose alike, whether what they choose is right, and how
 * long they take. Both score every prompt in turns.
 *
 *     npx tsx scripts/compare-rewards.ts clip --options '{"model":"dual-encoder-int8"}'   # 360 prompts, 8 images each
 *     npx tsx scripts/compare-rewards.ts clip --options '{"model":"./mine"}' --per-tag 10 --model embedded-int8
 *
 * A table on stdout, or everything as JSON with --json; intervals are over prompts, paired.
 */
import { parseArgs } from "node:util";
import { rewardRegistry } from "../src/assemble/builtins.ts";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW, stillOf } from "../src/core/generator.ts";
import type { RewardContext, RewardItem } from "../src/core/reward.ts";
import { officialOptions } from "../src/eval/geneval/rules.ts";
import { type Cell, intervals } from "../src/eval/statistics/intervals.ts";
import { loadReward } from "../src/plugins/load-reward.ts";
import { createScoring } from "../src/scoring/create-scoring.ts";
import { promptsOf } from "./support/prompts-of.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    options: { type: "string", default: "{}" },
    against: { type: "string", default: "{}" },
    model: { type: "string", default: "embedded" },
    judge: { type: "string", default: "detector-b" },
    "per-tag": { type: "string", default: "60" },
    images: { type: "string", default: "8" },
    seed: { type: "string", default: "compare-rewards" },
    json: { type: "boolean", default: false },
  },
});
const [name = "clip"] = positionals;
const log = (_level: string, message: string): void => console.error(message);
const host = { baseDir: process.cwd(), allowDownload: false, log };
const context: RewardContext = {
  signal: new AbortController().signal,
  stage: { kind: "final", index: 0, count: 1 },
  seed: 0,
  log,
};
const ids = Array.from({ length: Number(values.images) }, (_, index) => `c${index}`);
const prompts = promptsOf(Number(values["per-tag"]), values.seed);

async function open(given: string) {
  const options = JSON.parse(given);
  const { value } = await loadReward(name, options, { ...host, registry: rewardRegistry });
  return { reward: createScoring(value, { options }), ms: [] as number[] };
}

async function scored({ reward, ms }: Awaited<ReturnType<typeof open>>, items: readonly RewardItem[]) {
  const start = performance.now();
  const { scores } = await reward.score(items, context);
  ms.push((performance.now() - start) / items.length);
  return Array.from(scores, (score) => score ?? Number.NaN);
}

/** Spearman's correlation; equal values share their mean rank. */
function ranksAgree(one: readonly number[], other: readonly number[]): number {
  const ranks = (row: readonly number[]): number[] =>
    row.map(
      (value) => row.filter((each) => each < value).length + row.filter((each) => each === value).length / 2,
    );
  const [a, b] = [ranks(one), ranks(other)];
  const middle = one.length / 2;
  const product = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, value, at) => sum + (value - middle) * (y[at]! - middle), 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b) || 1);
}

await using generator = await (await findGenerator(values.model)).definition.open({}, {});
await using judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
const own = await open(values.options);
const other = await open(values.against);
await using _own = own.reward;
await using _other = other.reward;
type Column = "right" | "reference" | "change" | "sameChoice" | "ranks";
const columns: Record<Column, Cell[]> = { right: [], reference: [], change: [], sameChoice: [], ranks: [] };
for (const [index, item] of prompts.entries()) {
  const { prompt, tag } = item;
  const session = await generator.start({ prompt, seed: 0 }, ids);
  for (const _ of generator.traits.stages) await session.step();
  const pictures = (await session.view([...ids.keys()], FULL_VIEW)).map(stillOf);
  session.release();
  const items = pictures.map((image, at) => ({ id: ids[at]!, prompt, metadata: { ...item }, image }));
  // Neither always goes first.
  const first = index % 2 === 0 ? own : other;
  const early = await scored(first, items);
  const late = await scored(first === own ? other : own, items);
  const [mine, reference] = first === own ? [early, late] : [late, early];
  const chosen = [mine, reference].map((scores) => scores.indexOf(Math.max(...scores)));
  const verdicts = await judge.judge(chosen.map((at) => ({ image: pictures[at]!, item })));
  const [right, before] = verdicts.map(({ correct }) => Number(correct)) as [number, number];
  const row: Record<Column, number> = {
    right,
    reference: before,
    change: right - before,
    sameChoice: Number(chosen[0] === chosen[1]),
    ranks: ranksAgree(mine, reference),
  };
  for (const column of Object.keys(columns) as Column[]) {
    columns[column].push({ stratum: tag, values: [row[column]] });
  }
  if (index % 60 === 59) console.error(`${index + 1} of ${prompts.length} prompts`);
}
const range = (column: Column): [number, number] =>
  column === "change" || column === "ranks" ? [-1, 1] : [0, 1];
const found = Object.fromEntries(
  (Object.keys(columns) as Column[]).map((column) => [
    column,
    intervals(columns[column], { range: range(column) }).overall,
  ]),
) as Record<Column, { readonly estimate: number; readonly low: number; readonly high: number }>;
const median = (row: readonly number[]): number =>
  Number([...row].sort((a, b) => a - b)[row.length >> 1]!.toFixed(2));
const facts = {
  reward: own.reward.version,
  against: other.reward.version,
  judge: values.judge,
  model: generator.traits.version,
  prompts: prompts.length,
  images: prompts.length * ids.length,
  /** Medians over prompts. */
  msOfAnImage: { own: median(own.ms), against: median(other.ms) },
  ...found,
};
const line = (label: string, column: Column): string => {
  const { estimate, low, high } = found[column];
  return `| ${label} | ${[estimate, low, high].map((value) => (100 * value).toFixed(1)).join(" | ")} |`;
};
console.log(
  values.json
    ? JSON.stringify(facts, null, 2)
    : `${prompts.length} prompts, best of ${ids.length}; ${values.judge}; mean of the six kinds, 95 % for new prompts

| % | estimate | from | to |
|---|--:|--:|--:|
${[
  line(`right, chosen with ${values.options}`, "right"),
  line(`right, chosen with ${values.against}`, "reference"),
  line("difference", "change"),
  line("same image chosen", "sameChoice"),
  line("rank correlation within a prompt", "ranks"),
].join("\n")}

An image takes ${facts.msOfAnImage.own} ms, and ${facts.msOfAnImage.against} ms with the other.`,
);
process.exit(0);
