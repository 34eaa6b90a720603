/**
 * Self-verification, measured: what the generator's own verifier wins of what an independent reward wins, by a judge that
 * neither of them is.
 *
 *     npx tsx scripts/self-verify-study.ts --prompts FILE.jsonl --limit 60 --out results/families-extra/self-verify.json
 *
 * Every prompt's candidates are drawn once; each reward names its best of them. The share of the gain is that of the means,
 * with prompts as units of the bootstrap.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { rewardRegistry } from "../src/assemble/builtins.ts";
import { findGenerator } from "../src/assemble/find-generator.ts";
import { openJudge } from "../src/assemble/open-judge.ts";
import { FULL_VIEW } from "../src/core/generator.ts";
import { createRng } from "../src/core/rng.ts";
import { type GenevalMetadata, officialOptions } from "../src/eval/geneval/rules.ts";
import { writeJsonAtomic } from "../src/io/atomic.ts";
import { loadReward } from "../src/plugins/load-reward.ts";

const { values } = parseArgs({
  options: {
    prompts: { type: "string" },
    model: { type: "string", default: "harmon" },
    independent: { type: "string", default: "clip" },
    judge: { type: "string", default: "detector-b" },
    candidates: { type: "string", default: "8" },
    limit: { type: "string", default: "60" },
    out: { type: "string", default: "results/runs/self-verify.json" },
  },
});
if (values.prompts === undefined) throw new Error("--prompts FILE.jsonl: rows of GenEval, one a line");
const rows = readFileSync(values.prompts, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as GenevalMetadata);
const step = Math.max(1, Math.floor(rows.length / Number(values.limit)));
const chosen = rows.filter((_, at) => at % step === 0).slice(0, Number(values.limit));
const width = Number(values.candidates);

const { definition } = await findGenerator(values.model);
const generator = await definition.open({}, { inProcess: true, threads: 1 });
const judge = await openJudge({ detector: values.judge, colorModel: null, rules: officialOptions });
const host = { baseDir: process.cwd(), allowDownload: false, log: () => undefined, registry: rewardRegistry };
const own = (await loadReward("self-verify", { model: values.model }, host)).value;
const independent = (await loadReward(values.independent, {}, host)).value;
const count = generator.traits.stages.length;
const context = {
  signal: new AbortController().signal,
  stage: { kind: "final", index: count - 1, count },
  seed: 0,
  log: () => undefined,
} as const;

interface Cell {
  readonly prompt: string;
  readonly correct: readonly number[];
  readonly own: readonly number[];
  readonly independent: readonly number[];
}

const ids = Array.from({ length: width }, (_, index) => `c${index}`);
const cells: Cell[] = [];
for (const metadata of chosen) {
  const session = await generator.start({ prompt: metadata.prompt, seed: 1 }, ids);
  while (session.stage < count) await session.step();
  const images = (await session.view([...ids.keys()], FULL_VIEW)).map(({ frames }) => frames[0]);
  session.release();
  const verdicts = await judge.judge(images.map((image) => ({ item: metadata, image })));
  const batch = images.map((image, at) => ({
    ...{ image, prompt: metadata.prompt, metadata: { ...metadata }, id: ids[at]! },
  }));
  const scored = async (reward: typeof own) =>
    Array.from((await reward.score(batch, context)).scores, Number);
  const correct = verdicts.map((verdict) => (verdict.correct ? 1 : 0));
  cells.push({
    prompt: metadata.prompt,
    correct,
    own: await scored(own),
    independent: await scored(independent),
  });
  process.stderr.write(`${cells.length}/${chosen.length} ${metadata.prompt}\n`);
}

const mean = (numbers: readonly number[]): number =>
  numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
const best = ({ correct }: Cell, scores: readonly number[]): number =>
  correct[scores.indexOf(Math.max(...scores))]!;

/** What a set of prompts says. */
function figures(sample: readonly Cell[]): Record<string, number> {
  const one = mean(sample.map(({ correct }) => mean(correct)));
  const byOwn = mean(sample.map((cell) => best(cell, cell.own)));
  const byIndependent = mean(sample.map((cell) => best(cell, cell.independent)));
  const any = mean(sample.map(({ correct }) => Math.max(...correct)));
  return {
    ...{ one, byOwn, byIndependent, any },
    ownGain: byOwn - one,
    independentGain: byIndependent - one,
    shareOfGain: byIndependent > one ? (byOwn - one) / (byIndependent - one) : Number.NaN,
  };
}

const stream = createRng(1, "self-verify").stream("stats", "bootstrap", 0);
const rounds = Array.from({ length: 2000 }, (_, round) =>
  figures(cells.map((_, at) => cells[Math.floor(stream.uniform(round * cells.length + at) * cells.length)]!)),
);
const whole = figures(cells);
const summary = Object.fromEntries(
  Object.entries(whole).map(([name, value]) => {
    const sorted = rounds
      .map((each) => each[name]!)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
    return [name, { value, low: at(0.025), high: at(0.975) }];
  }),
);
await writeJsonAtomic(values.out, {
  ...{ model: generator.traits.name, judge: values.judge, independent: values.independent },
  ...{ prompts: cells.length, candidates: width, summary, cells },
});
console.log(JSON.stringify(summary, null, 1));
for (const part of [generator, judge, own, independent]) await part[Symbol.asyncDispose]();
