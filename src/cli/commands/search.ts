import type { Command } from "commander";
import type { PlannedSearch } from "../../assemble/open-search.ts";
import type { Progress } from "../../run/progress.ts";
import { readRecipe } from "../../run/recipe.ts";
import type { SearchSummary } from "../../run/write-results.ts";
import { addForceFlag, addFromFlag, addOutputFlags, addSearchFlags, resolveFlags } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { describeMemory } from "../memory-text.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var search --prompt "a photo of a blue dog and a red umbrella" --budget 8
  $ tts-var search -p "a photo of a green cup" --strategy best-of-n --budget 4 --seed 7
  $ tts-var search -p "a photo of three cats" --reward geneval --json
  $ tts-var search -p "a photo of a cow" --reward ./my-reward.mjs --out results/runs/cow
  $ tts-var search -p "a photo of a clock" --config tts-var-paper --set model.options.topP=0.9
  $ tts-var search -p "a photo of a cow" --tokens results/runs/cow/tokens/c0.json --tokens-until 3
  $ tts-var search --from results/runs/cow/best.png --out results/runs/cow-again
  $ tts-var search -p "a photo of a cow" --model ./infinity-2b --ratio 4:3 --size 0.25M --max-memory 16GiB

--tokens draws an image again from its tokens; with --tokens-until K, only its first K stages are kept: a variation.
--budget N allows the cost of N whole images, however the strategy spends it; see \`tts-var plan\`.
The run folder holds best.png, sheet.png (the search at a glance), images/, run.json, trace.jsonl,
candidates.jsonl, metrics.json and timing.jsonl. Equal settings and seed give equal pixels.`;

/** `tts-var search`: the main job. */
export function register(program: Command): void {
  const command = program
    .command("search")
    .description("Draw a prompt, searching for the best image within a budget.");
  addOutputFlags(addForceFlag(addFromFlag(addSearchFlags(command))))
    .addHelpText("after", EXAMPLES)
    .action(async (options: { force?: boolean; json?: boolean; quiet?: boolean; from?: string }) => {
      const interrupts = watchInterrupts();
      try {
        const progress = createProgress(options.quiet ?? false);
        const resolved = await resolveFlags(command);
        const { planConfig } = await import("../../assemble/open-search.ts");
        const { runPlanned } = await import("../../run/run-planned.ts");
        const { describeSearch } = await import("../search-output.ts");
        const planned = await planConfig(
          resolved.config,
          pluginHost(resolved.config.allowDownload, progress),
        );
        await warnOfPrompt(planned.found.dir, resolved.config.task.prompt, progress);
        progress.line(describePlanned(planned));
        const summary = await runPlanned(planned, resolved, interrupts.signal, progress, {
          force: options.force ?? false,
        });
        if (options.from !== undefined) compareWithPicture(options.from, resolved.hash, summary, progress);
        if (options.json) printJson(summary);
        else printResult(describeSearch(summary, resolved.config.sheet !== "none"));
      } finally {
        interrupts.stop();
      }
    });
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

async function warnOfPrompt(modelDir: string | null, prompt: string, progress: Progress): Promise<void> {
  if (modelDir === null) return;
  const { checkPrompt, promptWarnings } = await import("../../assemble/prompt-check.ts");
  const check = await checkPrompt(modelDir, prompt);
  for (const warning of check ? promptWarnings(check) : []) progress.warn(warning);
}
