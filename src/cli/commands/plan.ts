import type { Command } from "commander";
import { COST_KINDS } from "../../core/budget.ts";
import { describeParts } from "../../engine/memory-plan.ts";
import type { SearchPlan } from "../../engine/plan.ts";
import { addFromFlag, addSearchFlags, resolveRecipeFlags } from "../flags.ts";
import { describeMemory } from "../memory-text.ts";
import { type Column, printJson, printResult, quantity, table } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var plan --budget 8
  $ tts-var plan --strategy best-of-n --budget 32 --reward geneval --json

The table is a dry run of the strategy's own program: what it will compute, look at and score at each stage, at most.
No model is loaded. A budget that is too small ends with exit code 4, and so does one that does not fit in --max-memory
(by default nine tenths of this machine's memory).`;

/** `tts-var plan`: what a search would cost. */
export function register(program: Command): void {
  const command = program
    .command("plan")
    .description("Print what a search would cost by stage and kind, before any model loads.");
  addFromFlag(addSearchFlags(command))
    .option("--json", "Print one JSON object on stdout")
    .addHelpText("after", EXAMPLES)
    .action(async (options: { json?: boolean }) => {
      // What a search costs does not depend on its prompt.
      const { config } = await resolveRecipeFlags(command);
      const { planConfig } = await import("../../assemble/open-search.ts");
      const planned = await planConfig(config, pluginHost(config.allowDownload, createProgress(false)));
      const { plan } = planned;
      await planned[Symbol.asyncDispose]();
      const names = { strategy: config.strategy.name, model: config.model.name, reward: config.reward.name };
      if (options.json) printJson({ schemaVersion: 1, ...names, ...plan });
      else printResult(describePlan(plan, names));
    });
}

type PlanRow = SearchPlan["rows"][number];

function describePlan(plan: SearchPlan, names: Readonly<Record<string, string>>): string {
  const kinds = COST_KINDS.filter((kind) => plan.spending.byKind[kind] > 0);
  const count = (title: string, read: (row: PlanRow) => number): Column<PlanRow> => ({
    title,
    align: "right",
    cell: (row) => String(read(row)),
  });
  const columns: Column<PlanRow>[] = [
    count("stage", (row) => row.stage),
    { title: "", align: "right", cell: (row) => row.label },
    count("in", (row) => row.widthIn),
    count("out", (row) => row.widthOut),
    count("views", (row) => row.decodes),
    count("scores", (row) => row.scores),
    count("features", (row) => row.features),
    ...kinds.map(
      (kind): Column<PlanRow> => ({
        title: kind,
        align: "right",
        cell: (row) => quantity(row.flops[kind]),
      }),
    ),
  ];
  const totals = kinds.map(
    (kind) => `${kind} ${((100 * plan.spending.byKind[kind]) / plan.spending.total).toFixed(1)} %`,
  );
  return [
    Object.entries(names)
      .map(([key, value]) => `${key} ${value}`)
      .join(", "),
    "",
    table(plan.rows, columns),
    "",
    `total  ${quantity(plan.spending.total)}FLOPs = ${plan.total.toFixed(3)} of ${plan.units} units (${totals.join(", ")})`,
    `unit   ${quantity(plan.unit)}FLOPs: one whole image, its decode and its score`,
    ...(plan.memory ? [`${describeMemory(plan.memory)} (${describeParts(plan.memory)})`] : []),
  ].join("\n");
}
