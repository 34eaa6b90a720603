import type { Interval } from "./statistics/intervals.ts";
import type { Summary } from "./summary.ts";

const percent = (share: number): string => `${(100 * share).toFixed(2)}%`;
const range = ({ low, high }: Interval): string => `[${percent(low)}, ${percent(high)}]`;

/** What the overall score is a mean of; GenEval's words for its own. */
const means: Readonly<Record<Summary["overallBy"], string>> = {
  tags: "avg. over tasks",
  images: "avg. over images",
  weights: "weighted avg. over tasks",
};

/** GenEval's own table, for all benchmarks, line by line, with the interval after each accuracy. */
export function formatSummary(summary: Summary): string {
  const { intervals, completeness, cost } = summary;
  const partial = completeness.missing.length > 0;
  const lines = [
    summary.label,
    ...(partial ? [`PARTIAL: ${completeness.images} of ${completeness.expectedImages} images`] : []),
    "",
    "Summary",
    "=======",
    `Total images: ${summary.images}`,
    `Total prompts: ${summary.prompts}`,
    `% correct images: ${percent(summary.correctImages / summary.images)}`,
    `% correct prompts: ${percent(summary.correctPrompts / summary.prompts)}`,
    "",
    "Task breakdown",
    "==============",
    ...summary.byTag.map(
      ({ tag, accuracy, correct, images }) =>
        `${tag.padEnd(16)} = ${percent(accuracy)} (${correct} / ${images})  ${range(intervals.byStratum[tag]!)}`,
    ),
    ...skillLines(summary),
    ...figureLines(summary),
    "",
    `Overall score (${means[summary.overallBy]}): ${summary.overall.toFixed(5)}${partial ? " (partial)" : ""}`,
    `${100 * intervals.level}% interval: [${intervals.overall.low.toFixed(5)}, ${intervals.overall.high.toFixed(5)}]` +
      ` (Student's ${intervals.method} over new prompts, stratified by task)`,
    ...(cost === null ? [] : [costLine(cost)]),
    ...summary.warnings.map((warning) => `WARNING: ${warning}`),
  ];
  return lines.join("\n");
}

function skillLines({ bySkill }: Summary): string[] {
  if (!bySkill) return [];
  const lines = bySkill.map(
    ({ skill, mean, atoms }) => `${skill.padEnd(16)} = ${percent(mean)} (${atoms} questions)`,
  );
  return ["", "Skills", "======", ...lines];
}

function figureLines({ figures }: Summary): string[] {
  if (!figures) return [];
  const lines = figures.map(({ name, value }) => `${name.padEnd(16)} = ${percent(value)}`);
  return ["", "Whole set", "=========", ...lines];
}

function costLine(cost: NonNullable<Summary["cost"]>): string {
  const time = cost.searchSeconds === null ? "" : `; ${cost.searchSeconds.toFixed(1)} s of search`;
  return `Cost: ${cost.flops.toExponential(3)} FLOPs, ${cost.flopsPerImage.toExponential(3)} per image${time}`;
}
