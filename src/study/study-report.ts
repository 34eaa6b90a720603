import { join } from "node:path";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { controlRules } from "./controls.ts";
import type { Difference } from "./differences.ts";
import { plotArms, plotPreviews, plotStudy } from "./plots.ts";
import { correlation, markdownTable, percent, probability, range, signed } from "./report-text.ts";
import type { StudyConfig } from "./study-config.ts";
import { formatRecord, type ReportFacts, type StudyRecord } from "./study-record.ts";
import { type StudyTable, tabulate } from "./study-table.ts";

/** The file of a study's folder that its table is made of. */
export const recordFile = "answers.jsonl";

/** Tabulates a record, and writes it with table.json, table.md, README.md and the plots. */
export async function writeReport(
  dir: string,
  config: StudyConfig,
  record: StudyRecord,
  facts: ReportFacts,
): Promise<StudyTable> {
  const table = tabulate(record, { ...config, controls: controlRules(config) });
  const markdown = describeTable(table);
  await writeFileAtomic(join(dir, recordFile), formatRecord(record, config, facts));
  await writeJsonAtomic(join(dir, "table.json"), { schemaVersion: 1, ...facts, config, ...table });
  await writeFileAtomic(join(dir, "table.md"), markdown);
  await writeFileAtomic(join(dir, "scores.svg"), hasOneBudget(table) ? plotArms(table) : plotStudy(table));
  await writeFileAtomic(join(dir, "previews.svg"), plotPreviews(table));
  await writeFileAtomic(join(dir, "README.md"), describeStudy(config, table, facts, markdown));
  return table;
}

export function describeTable(table: StudyTable): string {
  const rows = table.rows.map((row) => [
    row.arm,
    row.units,
    row.spent.toFixed(2),
    percent(row.judged.estimate),
    range(row.judged),
    row.reward.toFixed(4),
    signed(row.againstSingle),
    ...testCells(row.againstReference),
    row.headroom === null ? "n/a" : row.headroom.toFixed(2),
  ]);
  const head = [
    "arm",
    "units",
    "spent",
    "judged",
    "interval",
    "reward",
    "minus single",
    "minus reference",
    ...testHead,
    "H",
  ];
  return markdownTable(head, rows, 1);
}

const testHead = ["all together", "better : worse", "p", "p (Holm)"];

/** A difference, and what it is worth among the others of its table. */
function testCells(difference: Difference | null): string[] {
  if (!difference) return ["", "", "", "", ""];
  const { together, better, worse, p, pHolm } = difference;
  return [signed(difference), range(together), `${better} : ${worse}`, probability(p), probability(pHolm)];
}

/** Differences that the study was made to find. */
function describeContrasts({ contrasts }: StudyTable): string {
  const rows = contrasts.map(({ of, against, difference, costRatio }) => [
    `${of.arm} at ${of.units}`,
    `${against.arm} at ${against.units}`,
    ...testCells(difference),
    costRatio.toFixed(2),
  ]);
  return markdownTable(["arm", "against", "difference", ...testHead, "FLOPs, ratio"], rows, 2);
}

function describeControls({ controls }: StudyTable): string {
  const rows = controls.map(({ arm, units, judged, passAt, expected, difference }) => [
    arm,
    units,
    percent(judged),
    `pass@${passAt} ${percent(expected)}`,
    signed(difference),
  ]);
  return markdownTable(["control", "units", "judged", "must equal", "difference"], rows, 1);
}

function describePreviews({ previews }: StudyTable): string {
  const priced = previews.some(({ price }) => price !== undefined);
  const rows = previews.map(({ scale, size, view, price, withReward, withVerdict }) => [
    scale,
    view,
    size,
    ...(priced ? [price === undefined ? "" : percent(price)] : []),
    correlation(withReward),
    correlation(withVerdict),
  ]);
  const names = ["after scale", "view", "size", ...(priced ? ["% of a unit"] : [])];
  return markdownTable([...names, "with the final reward", "with the verdict"], rows, 3);
}

function describeDecided({ decided, spentAfter }: StudyTable): string {
  const rows = decided.map(({ scale, decided: share }) => [
    scale,
    spentAfter ? percent(spentAfter[scale]!) : "",
    correlation(share),
  ]);
  return markdownTable(["after scale", "% of a unit spent", "decided"], rows, 0);
}

function describeTags({ rows }: StudyTable): string {
  const tags = Object.keys(rows[0]?.byTag ?? {});
  const cells = rows.map(({ arm, units, byTag }) => [arm, units, ...tags.map((tag) => percent(byTag[tag]!))]);
  return markdownTable(["arm", "units", ...tags], cells, 1);
}

function describeStudy(config: StudyConfig, table: StudyTable, facts: ReportFacts, markdown: string): string {
  const pass = table.passAt.map(({ n, score }) => `pass@${n} ${percent(score)}`).join(", ");
  const versions = Object.entries(facts.versions).map(([name, version]) => `- ${name}: \`${version}\``);
  const controls =
    table.controls.length > 0
      ? ["## Controls", "", "Against all images of the same trees.", "", describeControls(table)]
      : [];
  const contrasts = table.contrasts.length > 0 ? ["## Contrasts", "", describeContrasts(table)] : [];
  return `${[
    `# ${config.title}`,
    ...(config.question ? ["", config.question] : []),
    "",
    "```",
    facts.command,
    "```",
    "",
    "Recomputed from `answers.jsonl` with `tts-var study report DIR`.",
    "",
    `${table.prompts} prompts x ${table.replicates} replicates; prompts of seed \`${config.prompts.seed}\`${disjointness(config)}. ` +
      `Judged by GenEval's protocol with \`${config.judge}\`; ` +
      "the score is the unweighted mean of the six tasks. Intervals: 95 % for new prompts, Student's t, stratified by task, prompts as units. " +
      `Differences are paired by prompt and replicate; the reference is \`${table.reference}\` at the same budget. ` +
      "Of differences: prompts that fare better and worse, and the exact p-value when the two sides of each prompt are exchanged. " +
      "`p (Holm)` and the intervals *all together* are corrected for all comparisons of the same column; `p`, other intervals and differences to a single sample are uncorrected. " +
      "Units are FLOPs of whole images under the study's own settings, everything charged. " +
      `H is the headroom closed, (score - pass@1) / (pass@${table.treeWidth} - pass@1).`,
    "",
    `The model by itself: ${pass}.`,
    "",
    ...(config.findings ? ["## Findings", "", config.findings.trim(), ""] : []),
    ...contrasts,
    ...controls,
    "## Scores",
    "",
    markdown,
    "![scores](scores.svg)",
    "",
    "## By task",
    "",
    describeTags(table),
    "## What previews tell",
    "",
    "Within-prompt correlations over all recorded candidates, 95 % intervals by a bootstrap over prompts. Signals come with",
    "the logits and cost nothing.",
    ...(table.previews.some(({ size }) => size === "pairs")
      ? ["Token distances are of pairs, correlated with how much the two rewards or verdicts differ."]
      : []),
    "",
    describePreviews(table),
    "![previews](previews.svg)",
    "",
    ...(table.decided.length > 0
      ? [
          "## What is decided",
          "",
          "Share of the final reward's variance within prompts that two ends of one beginning have in common.",
          "",
          describeDecided(table),
        ]
      : []),
    ...versions,
  ].join("\n")}\n`;
}

function disjointness({ prompts: { disjointFrom } }: StudyConfig): string {
  if (!disjointFrom || disjointFrom.length === 0) return "";
  return `, without the scenes of ${disjointFrom.map((set) => `\`${set}\``).join(", ")}`;
}

function hasOneBudget({ rows }: StudyTable): boolean {
  return new Set(rows.map(({ units }) => units)).size === 1;
}
