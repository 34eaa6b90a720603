import { join } from "node:path";
import { writeFileAtomic, writeJsonAtomic } from "../io/atomic.ts";
import { looksOf, type ModelTable } from "./model-looks.ts";
import { plotModels } from "./models-plot.ts";
import { correlation, markdownTable, percent, range, signed } from "./report-text.ts";
import type { StudyConfig } from "./study-config.ts";
import type { TableRow } from "./study-table.ts";

/** Shares of a unit at which models are compared in the table; the stage that first reaches one is taken. */
const SHARES = [0.1, 0.25, 0.5, 0.75] as const;

/** Writes what a study over several models found: README.md, table.json, table.md and models.svg. */
export async function writeModelsReport(
  dir: string,
  config: StudyConfig,
  models: readonly ModelTable[],
  facts: { readonly command: string },
): Promise<string> {
  const markdown = describeModels(config, models);
  await writeJsonAtomic(join(dir, "table.json"), { schemaVersion: 1, ...facts, config, models });
  await writeFileAtomic(join(dir, "table.md"), markdown);
  await writeFileAtomic(join(dir, "models.svg"), plotModels(models));
  const text = [
    `# ${config.title}`,
    ...(config.question ? ["", config.question] : []),
    "",
    "```",
    facts.command,
    "```",
    "",
    "One study for each model, on the same prompts, in the folders beside this file. Recomputed from their answers with",
    "`tts-var study report DIR`.",
    "",
    ...(config.findings ? ["## Findings", "", config.findings.trim(), ""] : []),
    markdown,
    "![models](models.svg)",
    "",
  ];
  await writeFileAtomic(join(dir, "README.md"), text.join("\n"));
  return markdown;
}

/** What `--json` prints of a study over several models. */
export function modelsTable(models: readonly ModelTable[]): object {
  return { models: models.map(({ model, table }) => ({ model, ...table })) };
}

function describeModels(config: StudyConfig, models: readonly ModelTable[]): string {
  return [
    "## The models by themselves",
    "",
    describePass(models),
    "## What a look tells, by what has been spent",
    "",
    "Correlation within prompts of the reward of a look with the final reward, and the share of the final reward's variance",
    "that is decided, after the first stage that reaches a share of one unit (a whole image with its picture and score).",
    "",
    describeLooks(models),
    "## Strategies",
    "",
    `Points that the judge gives, minus \`${config.reference}\` at the same budget; 95 % intervals, uncorrected; H is the headroom closed.`,
    "",
    describeArms(models),
  ].join("\n");
}

function describePass(models: readonly ModelTable[]): string {
  const sizes = models[0]!.table.passAt.map(({ n }) => n);
  const rows = models.map(({ model, table }) => [
    model,
    table.spentAfter?.length ?? "",
    ...table.passAt.map(({ score }) => percent(score)),
  ]);
  return markdownTable(["model", "stages", ...sizes.map((n) => `pass@${n}`)], rows, 1);
}

function describeLooks(models: readonly ModelTable[]): string {
  const rows = models.flatMap((each) => {
    const { model, table } = each;
    const looked = looksOf(each).map(({ look, points }) => [
      model,
      `look ${look}`,
      ...SHARES.map((share) => {
        const point = points.find(({ spent }) => spent >= share);
        return point ? correlation(point.withReward) : "";
      }),
    ]);
    const decided = SHARES.map((share) => {
      const row = table.decided.find(({ scale }) => table.spentAfter![scale]! >= share);
      return row ? correlation(row.decided) : "";
    });
    return [...looked, ...(table.decided.length > 0 ? [[model, "decided", ...decided]] : [])];
  });
  const head = ["model", "", ...SHARES.map((share) => `${percent(share)} %`)];
  return markdownTable(head, rows, 2);
}

function describeArms(models: readonly ModelTable[]): string {
  const names = models[0]!.table.rows.map(({ arm, units }) => ({ arm, units }));
  const rows = names.map(({ arm, units }) => [
    arm,
    units,
    ...models.map(({ table }) => {
      const row = table.rows.find((each) => each.arm === arm && each.units === units);
      return row ? armCell(row) : "";
    }),
  ]);
  return markdownTable(["arm", "units", ...models.map(({ model }) => model)], rows, 1);
}

function armCell({ judged, againstReference, headroom }: TableRow): string {
  const value = againstReference
    ? `${signed(againstReference)}`
    : `${percent(judged.estimate)} (${range(judged)})`;
  return headroom === null ? value : `${value}; H ${headroom.toFixed(2)}`;
}
