/**
 * How far the judge can be trusted on generated images: draws the labelled ones again, judges them, and tabulates
 * verdicts against labels in `results/judge-precision/README.md`.
 *
 *     npx tsx scripts/judge-precision.ts                  # images, verdicts, table
 *     npx tsx scripts/judge-precision.ts --sheets DIR     # contact sheets to label by, without verdicts
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { z } from "zod";
import { runCommandLine } from "../src/cli/run.ts";
import { generatePrompts } from "../src/eval/geneval/prompts.ts";
import { type Tag, tags } from "../src/eval/geneval/vocabulary.ts";
import { layout } from "../src/eval/layout.ts";
import { readResults } from "../src/eval/results.ts";
import { makeFolder } from "../src/io/atomic.ts";

const folder = "results/judge-precision";
/** More of those that rarely pass. A larger number keeps the images there were: smaller sets are prefixes. */
const counts: Readonly<Record<Tag, number>> = {
  single_object: 20,
  two_object: 20,
  counting: 20,
  colors: 30,
  position: 40,
  color_attr: 60,
};
const seed = 0;

const verdict = z.enum(["correct", "incorrect"]);
const labelRow = z.strictObject({
  prompt: z.string(),
  tag: z.enum(tags),
  /** Seed of the search; together with the prompt it decides the image. */
  seed: z.string(),
  strategy: z.literal("single"),
  /** First 16 digits of the image's hash: a label belongs to an image, not to a prompt. */
  pixelHash: z.string().length(16),
  label: verdict,
  /** Another pair of eyes might have said otherwise. */
  doubtful: z.boolean().optional(),
  judge: verdict,
});
type LabelRow = z.output<typeof labelRow>;

/** Draws and judges the images in a folder. */
async function evaluate(dir: string): Promise<void> {
  const { prompts } = generatePrompts({ seed: "judge-precision", counts });
  const file = join(dir, "metadata.jsonl");
  writeFileSync(file, prompts.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const code = await runCommandLine([
    ...["geneval", "run", "--prompts", file, "--samples", "1", "--strategy", "single", "--budget", "1"],
    ...[
      "--seed",
      String(seed),
      "--judge",
      "detector-b",
      "--workers",
      "0",
      "--out",
      join(dir, "run"),
      "--quiet",
    ],
  ]);
  if (code !== 0) throw new Error(`the evaluation ended with exit code ${code}`);
}

/** Ten images a sheet with their prompts, magnified: nothing tells what the judge said. */
async function writeSheets(dir: string, run: string): Promise<void> {
  const [side, title, across, down] = [300, 34, 5, 2];
  const { rows } = await readResults(join(run, layout.results));
  makeFolder(dir);
  for (let from = 0; from < rows.length; from += across * down) {
    const cells = rows.slice(from, from + across * down).map(async ({ filename, prompt }, at) => {
      const [left, top] = [(at % across) * side, Math.floor(at / across) * (side + title)];
      const text = `${from + at}: ${prompt.replace("a photo of ", "")}`;
      const svg = `<svg width="${side}" height="${title}"><text x="4" y="22" font-size="12" font-family="sans-serif">${text}</text></svg>`;
      const image = await sharp(join(run, filename))
        .resize(side - 8, side - 8)
        .toBuffer();
      return [
        { input: Buffer.from(svg), left, top },
        { input: image, left: left + 4, top: top + title },
      ];
    });
    const size = { width: across * side, height: down * (side + title), channels: 3 as const };
    await sharp({ create: { ...size, background: "#ffffff" } })
      .composite((await Promise.all(cells)).flat())
      .png()
      .toFile(join(dir, `sheet${String(from).padStart(3, "0")}.png`));
  }
}

/** Score interval of a share (Wilson 1927), which holds its level at shares near 0 and 1. */
function wilson(hits: number, of: number): string {
  if (of === 0) return "-";
  const z2 = 1.959963984540054 ** 2;
  const share = hits / of;
  const centre = (share + z2 / (2 * of)) / (1 + z2 / of);
  const half = Math.sqrt((z2 * share * (1 - share)) / of + (z2 / (2 * of)) ** 2) / (1 + z2 / of);
  const percent = (value: number): string => (100 * value).toFixed(0);
  return `${percent(share)} % (${percent(centre - half)} to ${percent(centre + half)})`;
}

function tableRow(name: string, rows: readonly LabelRow[]): string {
  const count = (label: LabelRow["label"], judge: LabelRow["judge"]): number =>
    rows.filter((row) => row.label === label && row.judge === judge).length;
  const [hit, falsePass, miss, rejected] = [
    ...[count("correct", "correct"), count("incorrect", "correct")],
    ...[count("correct", "incorrect"), count("incorrect", "incorrect")],
  ] as [number, number, number, number];
  return `| ${[
    ...[name, rows.length, hit, falsePass, miss, rejected],
    ...[wilson(hit, hit + falsePass), wilson(hit, hit + miss)],
  ].join(" | ")} |`;
}

function tableOf(rows: readonly LabelRow[]): string {
  const clear = rows.filter(({ doubtful }) => !doubtful);
  return [
    "| task | images | both right | judge only | eye only | both wrong | precision | recall |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
    ...tags.map((tag) =>
      tableRow(
        tag,
        rows.filter((row) => row.tag === tag),
      ),
    ),
    tableRow("all", rows),
    tableRow("all, without the doubtful", clear),
  ].join("\n");
}

const labels = readFileSync(join(folder, "labels.jsonl"), "utf8")
  .trim()
  .split("\n")
  .map((line) => labelRow.parse(JSON.parse(line)));
const dir = mkdtempSync(join(tmpdir(), "tts-var-precision-"));
try {
  await evaluate(dir);
  const run = join(dir, "run");
  const sheets = process.argv.indexOf("--sheets");
  if (sheets > 0) {
    await writeSheets(process.argv[sheets + 1]!, run);
  } else {
    const { rows } = await readResults(join(run, layout.results));
    const fresh = rows.map((row, index): LabelRow => {
      const label = labels.find(({ prompt }) => prompt === row.prompt);
      const record = JSON.parse(readFileSync(join(run, layout.record(index, 0)), "utf8"));
      const [candidate] = record.candidates;
      if (!label || !candidate.pixelHash.startsWith(label.pixelHash)) {
        throw new Error(
          `image ${index} ("${row.prompt}") is not a labelled one: label the images anew (--sheets)`,
        );
      }
      return { ...label, judge: row.correct ? "correct" : "incorrect" };
    });
    writeFileSync(join(folder, "labels.jsonl"), fresh.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const readme = join(folder, "README.md");
    const marked = /(<!-- table -->\n)[\s\S]*?(<!-- end -->)/;
    writeFileSync(readme, readFileSync(readme, "utf8").replace(marked, `$1${tableOf(fresh)}\n$2`));
  }
} finally {
  rmSync(dir, { recursive: true });
}
