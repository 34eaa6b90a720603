import type { Command } from "commander";
import {
  benchmarkRegistry,
  featureRegistry,
  generatorRegistry,
  rewardRegistry,
  strategyRegistry,
} from "../../assemble/builtins.ts";
import { type Listing, unknownName } from "../../core/registry.ts";
import type { ModelListing, Terms } from "../model-list.ts";
import { printJson, printResult, quantity, table } from "../output.ts";
import { listPresets } from "../presets.ts";
import type { RewardRow } from "../reward-list.ts";

type Kind = "strategies" | "rewards" | "generators" | "features" | "models" | "configs" | "benchmarks";

const LISTS: Readonly<Record<Kind, () => Promise<readonly Listing[]>>> = {
  strategies: async () => strategyRegistry.list(),
  rewards: async () => (await import("../reward-list.ts")).listRewards(),
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
    .option(
      "--json",
      "Print a JSON array of {name, summary, source}; rewards and models add figures, licence, size, hash and commercial use",
    )
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
      if (kind === "rewards") {
        printResult(`\n${rewardFigures()}`);
        printResult(
          `\n${termsTable((rows as RewardRow[]).map(({ name, weights, license, commercial }) => ({ ...(weights ?? { from: "none of its own", license, bytes: null, hash: null, commercial }), name })))}`,
        );
      }
      if (kind === "benchmarks") printResult(`\n${benchmarkTerms()}`);
      if (kind === "models") printResult(`\n${termsTable(rows as ModelListing[])}`);
    });
}

/** What each benchmark reads, who can judge it here, and on which terms its prompts are. */
function benchmarkTerms(): string {
  return table(benchmarkRegistry.list(), [
    { title: "name", cell: (row) => row.name },
    { title: "--prompts", cell: (row) => row.prompts },
    { title: "judges here", cell: ({ judges }) => judges.join(", ") || "its own scripts only" },
    { title: "licence", cell: (row) => row.license },
    { title: "commercial use", cell: (row) => row.commercial },
  ]);
}

/** What has to be known before something is shipped; the licence's name decides, which is no legal advice. */
function termsTable(rows: readonly (Terms & { readonly name: string; readonly from?: string })[]): string {
  const weights = rows.some(({ from }) => from !== undefined)
    ? [{ title: "weights", cell: (row: (typeof rows)[number]) => row.from ?? "" }]
    : [];
  return table(rows, [
    { title: "name", cell: (row) => row.name },
    ...weights,
    { title: "licence", cell: (row) => row.license },
    { title: "MB", align: "right", cell: ({ bytes }) => (bytes === null ? "" : (bytes / 1e6).toFixed(1)) },
    { title: "hash", cell: ({ hash }) => hash?.slice(0, 16) ?? "" },
    { title: "commercial use", cell: (row) => row.commercial },
  ]);
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
  ]);
}
