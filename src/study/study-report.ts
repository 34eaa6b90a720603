import { join } from "node:path";
import type { Interval } from "../eval/bootstrap.ts";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { plotStudy } from "./plots.ts";
import type { StudyConfig } from "./study-config.ts";
import type { StudyTable } from "./study-table.ts";

export interface ReportFacts {
  readonly command: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** Writes table.json, table.md, scores.svg and README.md. */
export async function writeReport(
  dir: string,
  config: StudyConfig,
  table: StudyTable,
  facts: ReportFacts,
): Promise<void> {
  const markdown = describeTable(table);
  await writeJsonAtomic(join(dir, "table.json"), { schemaVersion: 1, ...facts, config, ...table });
  await writeFileAtomic(join(dir, "table.md"), markdown);
  await writeFileAtomic(join(dir, "scores.svg"), plotStudy(table));
  await writeFileAtomic(join(dir, "README.md"), describeStudy(config, table, facts, markdown));
}

export function describeTable(table: StudyTable): string {
  const head = "| arm | units | spent | judged | interval | reward | minus single | minus reference | H |";
  const rows = table.rows.map(
    ({ arm, units, spent, judged, reward, againstSingle, againstReference, headroom }) =>
      `| ${arm} | ${units} | ${spent.toFixed(2)} | ${percent(judged.estimate)} | ${range(judged)} | ${reward.toFixed(4)} | ` +
      `${signed(againstSingle)} | ${againstReference ? signed(againstReference) : ""} | ${headroom.toFixed(2)} |`,
  );
  return `${[head, "|---|--:|--:|--:|--:|--:|--:|--:|--:|", ...rows].join("\n")}\n`;
}

function describeStudy(config: StudyConfig, table: StudyTable, facts: ReportFacts, markdown: string): string {
  const pass = table.passAt.map(({ n, score }) => `pass@${n} ${percent(score)}`).join(", ");
  const versions = Object.entries(facts.versions).map(([name, version]) => `- ${name}: \`${version}\``);
  return `${[
    `# ${config.title}`,
    ...(config.question ? ["", config.question] : []),
    "",
    "```",
    facts.command,
    "```",
    "",
    `${table.prompts} prompts x ${table.replicates} replicates; prompts of seed \`${config.prompts.seed}\`. Judged by GenEval's protocol with \`${config.judge}\`; ` +
      `the score is the unweighted mean of the six tasks. Intervals: two-level bootstrap over new prompts, stratified by task, ${table.draws} draws, 95 %, BCa. ` +
      `Differences are paired by prompt and replicate; the reference is \`${table.reference}\` at the same budget. ` +
      `H is the headroom closed, (score - pass@1) / (pass@${table.treeWidth} - pass@1).`,
    "",
    `The model by itself: ${pass}.`,
    "",
    markdown,
    "![score by units spent](scores.svg)",
    "",
    ...versions,
  ].join("\n")}\n`;
}

function percent(value: number): string {
  return (100 * value).toFixed(1);
}

function range({ low, high }: Interval): string {
  return `${percent(low)} to ${percent(high)}`;
}

function signed(interval: Interval): string {
  const sign = interval.estimate > 0 ? "+" : "";
  return `${sign}${percent(interval.estimate)} (${range(interval)})`;
}
