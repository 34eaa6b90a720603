/**
 * Makes a committed table of GenEval-protocol results: runs every arm of an evaluation, compares them pair by pair, and
 * writes `results/NAME/{answers.jsonl,README.md,table.json}`. Interrupted evaluations go on where they stopped; when a
 * model has changed, they begin anew. With --report only the tables are made again, of the answers, without any model.
 *
 *     npx tsx scripts/evaluate.ts first-light [--report]
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Comparison, compareResults } from "../src/eval/compare.ts";
import { geneval } from "../src/eval/geneval/benchmark.ts";
import type { ResultRow } from "../src/eval/results.ts";
import type { Interval } from "../src/eval/statistics/intervals.ts";
import { type Summary, summarize } from "../src/eval/summary.ts";
import { makeFolder, writeFileAtomic } from "../src/io/atomic.ts";
import { readJsonl } from "../src/io/jsonl.ts";

interface Arm {
  readonly name: string;
  readonly flags: readonly string[];
}

interface Evaluation {
  readonly title: string;
  readonly text: string;
  readonly common: readonly string[];
  readonly arms: readonly Arm[];
  /** Pairs of arm names; differences are second minus first. */
  readonly comparisons: readonly (readonly [string, string])[];
}

const arm = (name: string, strategy: string, budget: number, ...flags: string[]): Arm => ({
  name,
  flags: ["--strategy", strategy, "--budget", String(budget), ...flags],
});

const evaluations: Readonly<Record<string, Evaluation>> = {
  "first-light": {
    title: "First light: does search pay?",
    text: "One image per prompt on fresh prompts of GenEval's grammar. The reward is the dual encoder (`clip`); the judge is a detector that no reward uses. Arms are paired: equal prompts, equal seeds.",
    common: ["--prompts", "552", "--prompt-seed", "first-light", "--samples", "1", "--reward", "clip"],
    arms: [
      arm("single", "single", 1),
      arm("best-of-n 8", "best-of-n", 8),
      arm("tts-var 8", "tts-var", 8),
      arm("calibrated-stop", "calibrated-stop", 16),
    ],
    comparisons: [
      ["single", "best-of-n 8"],
      ["single", "tts-var 8"],
      ["best-of-n 8", "tts-var 8"],
      ["tts-var 8", "calibrated-stop"],
      ["best-of-n 8", "calibrated-stop"],
    ],
  },
  "geneval-4": {
    title: "A full GenEval-protocol run at four units",
    text: "553 generated prompts in the official proportions, four images each, reward `clip`.",
    common: ["--prompts", "553", "--prompt-seed", "geneval-4", "--samples", "4", "--reward", "clip"],
    arms: [arm("single", "single", 1), arm("best-of-n 4", "best-of-n", 4), arm("tts-var 4", "tts-var", 4)],
    comparisons: [
      ["single", "best-of-n 4"],
      ["single", "tts-var 4"],
      ["best-of-n 4", "tts-var 4"],
    ],
  },
  generator: {
    title: "The embedded generator alone",
    text: "32 images for each of 150 fresh prompts without any search. Correct images: pass@1. Correct prompts: the oracle's pass@32.",
    common: ["--prompts", "150", "--prompt-seed", "generator", "--samples", "32", "--reward", "clip"],
    arms: [arm("single", "single", 1)],
    comparisons: [],
  },
};

const root = fileURLToPath(new URL("..", import.meta.url));

function ttsVar(args: readonly string[]): string {
  const result = spawnSync(process.execPath, [join(root, "bin/tts-var.mjs"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (result.status !== 0) {
    console.error(`tts-var ${args.slice(0, 2).join(" ")} ended with exit code ${result.status}`);
    process.exit(result.status ?? 1);
  }
  return result.stdout;
}

/** Changes with every embedded model: manifests hold the hashes of the weights. */
function hashOfModels(): string {
  const hash = createHash("sha256");
  for (const model of readdirSync(join(root, "models")).sort()) {
    const manifest = join(root, "models", model, "manifest.json");
    if (existsSync(manifest)) hash.update(readFileSync(manifest));
  }
  return hash.digest("hex").slice(0, 8);
}

const percent = (value: number): string => (100 * value).toFixed(1);
const range = ({ low, high }: Interval): string => `[${percent(low)}, ${percent(high)}]`;
const signed = (value: number): string => (value < 0 ? "" : "+") + percent(value);
const probability = (p: number): string => (p < 0.001 ? "< .001" : p.toFixed(3).replace(/^0/, ""));

function markdown(
  name: string,
  evaluation: Evaluation,
  summaries: ReadonlyMap<string, Summary>,
  comparisons: readonly { readonly from: string; readonly to: string; readonly result: Comparison }[],
): string {
  const [first] = summaries.values();
  const tags = first!.byTag.map(({ tag }) => tag);
  const lines = [
    `# ${evaluation.title}`,
    "",
    evaluation.text,
    "",
    `${first!.label}. Percent; 95 % intervals for new prompts; \`p\` by exchanging the two sides of each prompt. Nothing is corrected for the number of comparisons.`,
    "",
  ];
  lines.push(
    `| arm | ${tags.join(" | ")} | mean of tags | interval | prompts with a correct image | GFLOPs per image |`,
  );
  lines.push(`|---|${"---|".repeat(tags.length + 4)}`);
  for (const [arm, summary] of summaries) {
    const cells = [
      arm,
      ...summary.byTag.map(({ accuracy }) => percent(accuracy)),
      `**${percent(summary.overall)}**`,
      range(summary.intervals.overall),
      percent(summary.correctPrompts / summary.prompts),
      (summary.cost!.flopsPerImage / 1e9).toFixed(1),
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  if (comparisons.length > 0) {
    lines.push(
      "",
      "| difference, paired | points | new prompts | p, exact | pairs |",
      "|---|---|---|---|---|",
    );
    for (const { from, to, result } of comparisons) {
      const { newPrompts, p } = result.overall;
      const cells = [
        `${to} - ${from}`,
        signed(newPrompts.estimate),
        range(newPrompts),
        probability(p),
        result.pairs,
      ];
      lines.push(`| ${cells.join(" | ")} |`);
    }
  }
  lines.push("", `Command: \`npx tsx scripts/evaluate.ts ${name}\``, "");
  return lines.join("\n");
}

const name = process.argv[2] ?? "";
const evaluation = evaluations[name];
if (!evaluation) {
  console.error(`usage: npx tsx scripts/evaluate.ts ${Object.keys(evaluations).join("|")}`);
  process.exit(2);
}
const out = join(root, "results", name);
const answersPath = join(out, "answers.jsonl");
if (!process.argv.includes("--report")) await runArms(evaluation);
const { rows: answers } = await readJsonl<AnswerLine>(answersPath);
const rowsOf = new Map(answers.map((line) => [line.arm, expand(line, answers[0]!)]));
const summaries = new Map([...rowsOf].map(([arm, rows]) => [arm, summarize(rows, { benchmark: geneval })]));
const comparisons = evaluation.comparisons.map(([from, to]) => ({
  from,
  to,
  result: compareResults(rowsOf.get(from)!, rowsOf.get(to)!, { benchmark: geneval }),
}));
const table = {
  arms: [...summaries].map(([arm, { cost, ...summary }]) => ({
    arm,
    ...summary,
    flopsPerImage: cost!.flopsPerImage,
  })),
  comparisons: comparisons.map(({ from, to, result }) => ({ from, to, ...result, a: from, b: to })),
};
await writeFileAtomic(join(out, "table.json"), `${JSON.stringify(table, null, 2)}\n`);
await writeFileAtomic(join(out, "README.md"), markdown(name, evaluation, summaries, comparisons));
console.log(relative(process.cwd(), join(out, "README.md")));

/** Verdicts of one arm, image by image; the first line has what is common to all. */
interface AnswerLine {
  readonly arm: string;
  readonly judge?: string;
  readonly rewardModel?: string;
  readonly prompts?: readonly { readonly tag: string; readonly prompt: string; readonly samples: number }[];
  /** 0 or 1 for each image, prompt by prompt, with its FLOPs. */
  readonly correct: string;
  readonly flops: readonly number[];
}

async function runArms({ common, arms }: Evaluation): Promise<void> {
  // Other models make another evaluation, which must not continue in the folders of the former one.
  const models = hashOfModels();
  const lines: AnswerLine[] = [];
  for (const { name: arm, flags } of arms) {
    console.error(`== ${arm}`);
    const folder = join(root, "results/runs", `${name}-${models}`, arm.replaceAll(" ", "-"));
    ttsVar(["geneval", "run", ...common, ...flags, "--out", folder]);
    const { rows } = await readJsonl<ResultRow>(join(folder, "results.jsonl"));
    rows.sort((a, b) => (a.filename < b.filename ? -1 : 1));
    lines.push({ arm, ...(lines.length === 0 ? commonOf(rows) : {}), ...verdictsOf(rows) });
  }
  makeFolder(out);
  await writeFileAtomic(answersPath, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

function commonOf(rows: readonly ResultRow[]) {
  const { judge, rewardModel } = rows[0]!;
  const prompts = new Map<string, { tag: string; prompt: string; samples: number }>();
  for (const { filename, tag, prompt } of rows) {
    const folder = filename.split("/")[0]!;
    const known = prompts.get(folder) ?? { tag, prompt, samples: 0 };
    prompts.set(folder, { ...known, samples: known.samples + 1 });
  }
  return { ...(judge && { judge }), ...(rewardModel && { rewardModel }), prompts: [...prompts.values()] };
}

function verdictsOf(rows: readonly ResultRow[]): Pick<AnswerLine, "correct" | "flops"> {
  return {
    correct: rows.map(({ correct }) => Number(correct)).join(""),
    flops: rows.map(({ flops }) => flops ?? 0),
  };
}

function expand({ correct, flops }: AnswerLine, { judge, rewardModel, prompts }: AnswerLine): ResultRow[] {
  const padded = (value: number, digits = 5): string => String(value).padStart(digits, "0");
  const images = prompts!.flatMap(({ tag, prompt, samples }, index) =>
    Array.from({ length: samples }, (_, sample) => ({
      filename: `${padded(index)}/samples/${padded(sample, 4)}.png`,
      tag,
      prompt,
    })),
  );
  return images.map((image, index) => ({
    ...image,
    correct: correct[index] === "1",
    reason: "",
    metadata: { tag: image.tag, prompt: image.prompt, include: [] },
    details: {},
    ...(judge && { judge }),
    ...(rewardModel && { rewardModel }),
    flops: flops[index]!,
  }));
}
