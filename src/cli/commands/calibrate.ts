import { join } from "node:path";
import type { Command } from "commander";
import type { CalibrationFiles } from "../../assemble/write-calibration.ts";
import type { SearchRecipe } from "../../config/schema.ts";
import { Disposal, holding } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import { viewAt } from "../../core/generator.ts";
import { parseCount } from "../../eval/geneval/prompt-source.ts";
import type { Progress } from "../../run/progress.ts";
import type { Bounds } from "../../study/measure-calibration.ts";
import { addForceFlag, addOutputFlags, addSearchFlags, resolveRecipeFlags } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress, longStatus, progressStyle } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var calibrate --prompts 48 --samples 16
  $ tts-var calibrate --verifier geneval --prompts 96 --samples 8 --previews 0.5,1
  $ tts-var calibrate --reward geneval --previews 0.25,0.5,1 --prompts prompts.jsonl --dir my-calibration

Draws whole images of each prompt, scores every scale's previews, and measures within prompts how well they predict the
final reward, and which strategy is best at which budget (what the strategy auto chooses). Writes <model>-<reward>.json and <model>-<reward>.svg. A search finds the file in configs/calibration of this
package by itself; others are named with --calibration.`;

interface Options {
  readonly prompts: string;
  readonly promptSeed: string;
  readonly samples: string;
  readonly copies: string;
  readonly previews: string;
  readonly disjointFrom?: readonly string[];
  readonly verifier?: string;
  readonly jobs: string;
  readonly dir: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** `tts-var calibrate`: how far previews can be trusted. */
export function register(program: Command): void {
  const command = program
    .command("calibrate")
    .description(
      "Measure by scale how well previews predict the final reward, and the best pruning schedules.",
    );
  addOutputFlags(addForceFlag(addSearchFlags(command)))
    .option("--prompts <file|n>", "GenEval metadata file, or a number of generated prompts", "48")
    .option(
      "--prompt-seed <text>",
      "Seed of generated prompts; keep it apart from those of reported results",
      "calibration",
    )
    .option("--disjoint-from <set...>", "Prompt sets whose scenes must not occur: seed:count, or files")
    .option("--samples <n>", "Images per prompt", "16")
    .option("--copies <n>", "Images per prompt with a second continuation from every scale", "2")
    .option(
      "--previews <sizes>",
      "Preview sides relative to the image, or draft for drafts at full size; the first one is calibrated",
      "draft,0.5,1",
    )
    .option(
      "--verifier <reward>",
      "Also fit how likely an image is right: full marks of this reward count as right",
    )
    .option("--jobs <n>", "Prompts at a time", "2")
    .option("--dir <dir>", "Folder of the results", "configs/calibration")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const interrupts = watchInterrupts();
      try {
        const progress = createProgress(options.quiet ?? false);
        const { config } = await resolveRecipeFlags(command, {
          "strategy.name": "single",
          budget: 1,
          calibration: "none",
        });
        const words = (program as unknown as { readonly rawArgs: readonly string[] }).rawArgs;
        const result = await calibrate(config, options, commandLine(words), progress, interrupts.signal);
        if (options.json) printJson({ file: result.file, plot: result.plot, ...result.calibration });
        else printResult(describe(result));
      } finally {
        interrupts.stop();
      }
    });
}

async function calibrate(
  config: SearchRecipe,
  options: Options,
  command: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<CalibrationFiles> {
  const { calibrationFile } = await import("../../assemble/find-calibration.ts");
  const { openCalibration } = await import("../../assemble/open-calibration.ts");
  const { loadPrompts } = await import("../../eval/geneval/prompt-source.ts");
  const { runCalibration } = await import("../../study/run-calibration.ts");
  const { writeCalibration } = await import("../../assemble/write-calibration.ts");
  const { openOutputFile } = await import("../../io/ownership.ts");
  const { isCalibration } = await import("../../study/study-folder.ts");
  const prompts = await loadPrompts(options.prompts, options.promptSeed, options.disjointFrom);
  const width = parseCount(options.samples, "--samples");
  const copies = Math.min(width, options.copies === "0" ? 0 : parseCount(options.copies, "--copies"));
  const jobs = parseCount(options.jobs, "--jobs");
  const previews = parsePreviews(options.previews);
  const status = longStatus(progress, progressStyle(options.quiet ?? false).live);
  const host = pluginHost(config.allowDownload, progress);
  const file = join(options.dir, calibrationFile(config.model.name, config.reward.name));
  const plot = file.replace(/json$/, "svg");
  const rules = { flag: "--dir", isOurs: () => isCalibration(file) };
  const output = { command: "calibrate", force: options.force ?? false };
  const results = await openOutputFile(file, output, rules);
  const plotted = await openOutputFile(plot, output, rules).catch((error: unknown) => {
    results[Symbol.dispose]();
    throw error;
  });
  const owned = new Disposal();
  const work = async () => {
    const parts = await openCalibration(config, options.verifier, host, owned);
    const measurement = await runCalibration({
      ...parts,
      prompts,
      seed: config.task.seed,
      width,
      copies,
      previews: previews.map((name) => ({
        name,
        view:
          name === "draft"
            ? viewAt(parts.generator.traits.shape, 1, "now", "draft")
            : viewAt(parts.generator.traits.shape, Number(name), "now"),
      })),
      jobs,
      signal,
      onPrompt: (done, of) => status(`${done} of ${of} prompts`),
    });
    const conditions = {
      command,
      prompts: prompts.length,
      promptSeed: options.promptSeed,
      ...(options.disjointFrom ? { disjointFrom: options.disjointFrom } : {}),
      samples: width,
      copies,
      seed: config.task.seed,
      sampling: parts.generator.traits.settings,
    };
    const measured = { ...measurement, parts, prompts, seed: config.task.seed };
    return writeCalibration({ file, plot, results, plotted }, measured, conditions);
  };
  return holding([results, plotted], () => owned.during(work));
}

function parsePreviews(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.every((name) => name === "draft" || (Number(name) > 0 && Number(name) <= 1))) return names;
  throw new TtsVarError(
    "USAGE",
    `--previews ${text}: must be numbers above 0 and at most 1, or draft, separated by commas`,
  );
}

function describe({ calibration, intervals, file }: CalibrationFiles): string {
  const { scales, schedules, acceptance, recommended } = calibration;
  const figure = (value: number, [low, high]: Bounds): string =>
    `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`.padStart(24);
  const lines = scales.map(({ scale, correlation, decided }, index) => {
    const bounds = intervals[index]!;
    return `${String(scale).padStart(5)}  ${figure(correlation, bounds.correlation)}  ${figure(decided, bounds.decided)}`;
  });
  const best = (schedules ?? []).map(({ units, start, cuts }) => {
    const steps = cuts.map(({ scale, keep }) => `${keep} after scale ${scale}`).join(", ");
    return `${String(units).padStart(5)} units: ${start}${steps ? `, ${steps}` : ""}`;
  });
  const chosen = (recommended ?? []).map(({ units, strategy, options, gain, error }) => {
    const told = Object.keys(options).length > 0 ? ` ${JSON.stringify(options)}` : "";
    const ahead =
      gain === 0 ? "" : ` (${gain.toFixed(3)} +- ${error.toFixed(3)} over best-of-n, uncorrected)`;
    return `${String(units).padStart(5)} units: ${strategy}${told}${ahead}`;
  });
  const right = acceptance
    ? [
        "",
        `log odds of a right image (by ${acceptance.verifier}): ${acceptance.intercept.toFixed(2)} + ${acceptance.slope.toFixed(2)} reward; ` +
          `share of right images by prompt: Beta(${acceptance.prior.right.toFixed(2)}, ${acceptance.prior.wrong.toFixed(2)})`,
      ]
    : [];
  const head = `scale  ${"correlation".padStart(24)}  ${"decided".padStart(24)}`;
  const auto = chosen.length > 0 ? ["", "what `auto` chooses:", ...chosen] : [];
  return [head, ...lines, "", "best pruning:", ...best, ...auto, ...right, "", file].join("\n");
}

/** The command as it was typed, for the file that it makes. */
function commandLine(words: readonly string[]): string {
  const quoted = words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)));
  return ["tts-var", ...quoted].join(" ");
}
