import type { Command } from "commander";
import {
  benchmarkRegistry,
  featureRegistry,
  generatorRegistry,
  rewardRegistry,
  strategyRegistry,
} from "../../assemble/builtins.ts";
import { type Listing, unknownName } from "../../core/registry.ts";
import { printJson, printResult, quantity, table } from "../output.ts";
import { listPresets } from "../presets.ts";

type Kind = "strategies" | "rewards" | "generators" | "features" | "models" | "configs" | "benchmarks";

const LISTS: Readonly<Record<Kind, () => Promise<readonly Listing[]>>> = {
  strategies: async () => strategyRegistry.list(),
  rewards: async () => rewardRegistry.list(),
  generators: async () => generatorRegistry.list(),
  features: async () => featureRegistry.list(),
  models: async () => (await import("../model-list.ts")).listModels(),
  configs: async () => listPresets(),
  benchmarks: async () => benchmarkRegistry.list(),
};

const EXAMPLES = `
Examples:
  $ tts-var list strategies
  $ tts-var list rewards --json`;

/** `tts-var list KIND`. */
export function register(program: Command): void {
  program
    .command("list")
    .description(
      "List what can be named on the command line: strategies, rewards, generators, features, models, configs, benchmarks.",
    )
    .argument("<kind>", Object.keys(LISTS).join(", "))
    .option("--json", "Print a JSON array of {name, summary, source}; rewards tell all of their figures")
    .addHelpText("after", EXAMPLES)
    .action(async (kind: string, options: { json?: boolean }) => {
      if (!Object.hasOwn(LISTS, kind)) throw unknownName("kind of list", kind, Object.keys(LISTS));
      const rows = await LISTS[kind as Kind]();
      if (options.json) {
        printJson(rows);
        return;
      }
      printResult(
        table(rows, [
          { title: "name", cell: (row) => row.name },
          { title: "what it does", cell: (row) => row.summary },
          { title: "source", cell: (row) => row.source ?? "" },
        ]),
      );
      if (kind === "rewards") printResult(`\n${rewardFigures()}`);
    });
}

/** What a search must know of each reward, under its default options. */
function rewardFigures(): string {
  return table(rewardRegistry.list(), [
    { title: "name", cell: (row) => row.name },
    { title: "better", cell: (row) => row.direction },
    { title: "range", cell: ({ range }) => (range ? `${range[0]} to ${range[1]}` : "open") },
    { title: "lambda", align: "right", cell: (row) => String(row.suggestedLambda ?? "depends") },
    {
      title: "FLOPs an image",
      align: "right",
      cell: ({ flops }) => (flops === null ? "depends" : quantity(flops)),
    },
    { title: "licence", cell: (row) => row.license },
  ]);
}
