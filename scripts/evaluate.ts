/**
 * Makes a committed table of GenEval-protocol results: runs every arm of an evaluation, compares them pair by pair, and
 * writes `results/NAME/{README.md,table.json}`. Interrupted evaluations go on where they stopped; when a model has
 * changed, they begin anew.
 *
 *     npx tsx scripts/evaluate.ts first-light
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolder, writeFileAtomic } from "../src/io/atomic.ts";

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

interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

interface Summary {
  readonly label: string;
  readonly images: number;
  readonly prompts: number;
  readonly correctPrompts: number;
  readonly overall: number;
  readonly byTag: readonly { readonly tag: string; readonly accuracy: number }[];
  readonly intervals: { readonly overall: Interval };
  readonly cost: { readonly flopsPerImage: number; readonly searchSeconds: number };
}

interface Comparison {
  readonly pairs: number;
  readonly overall: { readonly newPrompts: Interval; readonly thesePrompts: Interval };
}

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
    `${first!.label}. Percent; 95 % intervals for new prompts.`,
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
      (summary.cost.flopsPerImage / 1e9).toFixed(1),
    ];
    lines.push(`| ${cells.join(" | ")} |`);
  }
  if (comparisons.length > 0) {
    lines.push(
      "",
      "| difference, paired | points | new prompts | these prompts | pairs |",
      "|---|---|---|---|---|",
    );
    for (const { from, to, result } of comparisons) {
      const { newPrompts, thesePrompts } = result.overall;
      const cells = [
        `${to} - ${from}`,
        signed(newPrompts.estimate),
        range(newPrompts),
        range(thesePrompts),
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
// Other models make another evaluation, which must not continue in the folders of the former one.
const models = hashOfModels();
const folder = (arm: string) => join(root, "results/runs", `${name}-${models}`, arm.replaceAll(" ", "-"));
const summaries = new Map<string, Summary>();
for (const { name: arm, flags } of evaluation.arms) {
  console.error(`== ${arm}`);
  ttsVar(["geneval", "run", ...evaluation.common, ...flags, "--out", folder(arm)]);
  summaries.set(arm, JSON.parse(ttsVar(["geneval", "summarize", folder(arm), "--json"])) as Summary);
}
const comparisons = evaluation.comparisons.map(([from, to]) => ({
  from,
  to,
  result: JSON.parse(ttsVar(["geneval", "compare", folder(from), folder(to), "--json"])) as Comparison,
}));
// Seconds belong to the machine, folders to the user: neither is part of the committed table.
const table = {
  arms: [...summaries].map(([arm, { cost, ...summary }]) => ({
    arm,
    ...summary,
    flopsPerImage: cost.flopsPerImage,
  })),
  comparisons: comparisons.map(({ from, to, result }) => ({ from, to, ...result, a: from, b: to })),
};
const out = join(root, "results", name);
makeFolder(out);
await writeFileAtomic(join(out, "table.json"), `${JSON.stringify(table, null, 2)}\n`);
await writeFileAtomic(join(out, "README.md"), markdown(name, evaluation, summaries, comparisons));
console.log(relative(process.cwd(), join(out, "README.md")));
