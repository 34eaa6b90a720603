import { resolve } from "node:path";
import type { Command } from "commander";
import type { PlannedSearch } from "../../assemble/open-search.ts";
import type { SearchConfig } from "../../config/schema.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { Progress } from "../../run/progress.ts";
import { readRecipe } from "../../run/recipe.ts";
import type { PromptRow } from "../../run/run-prompts.ts";
import type { SearchSummary } from "../../run/summary.ts";
import {
  addForceFlag,
  addFromFlag,
  addOutputFlags,
  addSearchFlags,
  resolveFlags,
  resolveRecipeFlags,
} from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { describeMemory } from "../memory-text.ts";
import { figure, printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var search --prompt "a photo of a blue dog and a red umbrella" --budget 8
  $ tts-var search -p "a photo of a green cup" --strategy best-of-n --budget 4 --seed 7
  $ tts-var search -p "a photo of three cats" --reward geneval --json
  $ tts-var search -p "a photo of a cow" --reward ./my-reward.mjs --out results/runs/cow
  $ tts-var search -p "a photo of a clock" --config tts-var-paper --set model.options.topP=0.9
  $ tts-var search --prompts prompts.txt --out results/runs/many --json
  $ tts-var search -p "a photo of a cow" --strategy best-of-n --budget 16 --keep 4 --diversity 0.7
  $ tts-var search -p "a photo of a cow" --tokens results/runs/cow/tokens/c0.json --tokens-until 3
  $ tts-var search --from results/runs/cow/best.png --out results/runs/cow-again
  $ tts-var search -p "a photo of a cow" --model ./infinity-2b --ratio 4:3 --size 0.25M --max-memory 16GiB

--tokens draws an image again from its tokens; with --tokens-until K, only its first K stages are kept: a variation.
--budget N allows the cost of N whole images, however the strategy spends it; see \`tts-var plan\`.
--prompts loads the models once and writes a run folder for each prompt into --out, with results.jsonl, a line each; the same
command again goes on where the last one ended. Lines are prompts, or {"prompt": ..., "seed": ..., "negativePrompt": ...}.
--keep K chooses K finished candidates that are good and different (the best-k set), and draws them in grid.png.
The run folder holds best.png, report.html (all there is to see), sheet.png, images/, run.json, trace.jsonl,
candidates.jsonl, metrics.json and timing.jsonl. Equal settings and seed give equal pixels.`;

interface Options {
  readonly prompts?: string;
  readonly jobs?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly from?: string;
}

/** `tts-var search`: the main job. */
export function register(program: Command): void {
  const command = program
    .command("search")
    .description("Draw a prompt, searching for the best image within a budget.");
  addOutputFlags(addForceFlag(addFromFlag(addSearchFlags(command))))
    .option("--prompts <file>", "Many prompts, one a line or a JSON object a line; - reads stdin")
    .option("--jobs <n>", "Searches at a time, with --prompts (default: 1, or one a server)")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const interrupts = watchInterrupts();
      try {
        const progress = createProgress(options.quiet ?? false);
        if (options.prompts === undefined) await searchOne(command, options, interrupts.signal, progress);
        else await searchMany(command, options, options.prompts, interrupts.signal, progress);
      } finally {
        interrupts.stop();
      }
    });
}

async function searchOne(
  command: Command,
  { json = false, force = false, jobs, from }: Options,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  if (jobs !== undefined)
    throw new TtsVarError("USAGE", "--jobs is for many prompts; give them with --prompts");
  const resolved = await resolveFlags(command);
  const { warmForSearch } = await import("../../assemble/warm-threads.ts");
  warmForSearch(resolved.config);
  const { planConfig } = await import("../../assemble/open-search.ts");
  const { runPlanned } = await import("../../run/run-planned.ts");
  const { describeSearch } = await import("../search-output.ts");
  const planned = await planConfig(resolved.config, pluginHost(resolved.config.allowDownload, progress));
  await warnOfPrompts(planned.found.dir, [resolved.config.task.prompt], progress);
  progress.line(describePlanned(planned));
  const summary = await runPlanned(planned, resolved, signal, progress, { force });
  if (from !== undefined) compareWithPicture(from, resolved.hash, summary, progress);
  if (json) printJson(summary);
  else printResult(describeSearch(summary, pagesOf(resolved.config)));
}

async function searchMany(
  command: Command,
  { json = false, force = false, jobs: atOnce }: Options,
  source: string,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  const asked = atOnce === undefined ? undefined : parseWhole(atOnce, "--jobs");
  const resolved = await resolveRecipeFlags(command);
  if (resolved.origins["task.prompt"] !== undefined) {
    throw new TtsVarError("USAGE", "--prompts and a prompt (--prompt, task.prompt) exclude each other");
  }
  const { planConfig } = await import("../../assemble/open-search.ts");
  const { readPrompts } = await import("../../run/prompts.ts");
  const { runPrompts } = await import("../../run/run-prompts.ts");
  const { makeNewFolder, runName } = await import("../../run/run-name.ts");
  const { describePrompts } = await import("../search-output.ts");
  const { addressesOf } = await import("../../generators/remote/many-servers.ts");
  const jobs = asked ?? addressesOf(resolved.config.model.name).length;
  const items = await readPrompts(source);
  const planned = await planConfig(resolved.config, pluginHost(resolved.config.allowDownload, progress));
  progress.line(`${describePlanned(planned)}, for each of ${items.length} prompts`);
  await warnOfPrompts(
    planned.found.dir,
    items.map(({ prompt }) => prompt),
    progress,
  );
  const out =
    resolved.config.out ??
    (await makeNewFolder("results/runs", runName(new Date(), "prompts", resolved.hash)));
  const rows: PromptRow[] = [];
  for await (const row of runPrompts(planned, resolved, items, { out, jobs, force }, signal, progress)) {
    rows.push(row);
    const { prompt, best, budget } = row.summary;
    progress.line(
      `${rows.length}/${items.length} ${row.kept ? "kept" : "done"}: ${JSON.stringify(prompt)}, score ${figure(best.score)}, ${budget.spent.toFixed(2)} units`,
    );
    if (json) printResult(JSON.stringify(row.summary));
  }
  if (!json) printResult(describePrompts(rows, resolve(out)));
}

function parseWhole(text: string, flag: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1) return value;
  throw new TtsVarError("USAGE", `${flag} must be a whole number from 1, not ${text}`);
}

/** Files of the run to look at, besides the answer. */
function pagesOf({ report, sheet }: SearchConfig): string[] {
  return [...(report === "none" ? [] : ["report.html"]), ...(sheet === "none" ? [] : ["sheet.png"])];
}

/** What is about to happen, in one line: cost, size of the image where there is a choice, memory. */
function describePlanned({ plan, generator, config }: PlannedSearch): string {
  const { id, width, height, frames } = generator.shape;
  const parts = [`${plan.total.toFixed(2)} of ${config.budget} units`];
  parts.push(`${width}x${height} pixels${frames > 1 ? `, ${frames} frames` : ""} (${id})`);
  if (plan.memory) parts.push(describeMemory(plan.memory));
  return `plan: ${parts.join(", ")}`;
}

/** Says whether the repeated search made the picture again, where it had the same settings. */
function compareWithPicture(from: string, hash: string, summary: SearchSummary, progress: Progress): void {
  const { recipe } = readRecipe(from);
  const { candidate } = recipe!;
  if (recipe!.configHash !== hash || candidate === null) return;
  const again = summary.candidates.find(({ id }) => id === candidate.id);
  if (again?.pixelHash === candidate.pixelHash) {
    progress.line(`${candidate.id} is ${from} again, to the pixel`);
    return;
  }
  const now = readRecipe(summary.best.image).recipe;
  const changed = Object.entries(recipe!.models).filter(([name, version]) => now?.models[name] !== version);
  const why = changed.map(([name, version]) => `${name} was ${version}`).join(", ");
  progress.warn(`${candidate.id} differs from ${from}${why === "" ? "" : `: ${why}`}`);
}

async function warnOfPrompts(
  modelDir: string | null,
  prompts: readonly string[],
  progress: Progress,
): Promise<void> {
  if (modelDir === null) return;
  const { promptChecker, promptWarnings } = await import("../../assemble/prompt-check.ts");
  const check = await promptChecker(modelDir);
  if (!check) return;
  for (const prompt of prompts) {
    const where = prompts.length > 1 ? `${JSON.stringify(prompt)}: ` : "";
    for (const warning of promptWarnings(check(prompt))) progress.warn(where + warning);
  }
}
