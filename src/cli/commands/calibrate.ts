import { join } from "node:path";
import type { Command } from "commander";
import type { SearchConfig } from "../../config/schema.ts";
import { Disposal } from "../../core/disposal.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { PluginHost } from "../../core/plugin.ts";
import type { Calibration } from "../../core/strategy.ts";
import { loadPrompts, parseCount } from "../../eval/geneval/prompt-source.ts";
import type { Progress } from "../../run/progress.ts";
import type { MeasuredCurve } from "../../study/run-calibration.ts";
import { addForceFlag, addOutputFlags, addSearchFlags, resolveFlags } from "../flags.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { pluginHost } from "../plugin-host.ts";
import { createProgress } from "../progress.ts";

const EXAMPLES = `
Examples:
  $ tts-var calibrate --prompts 48 --samples 16
  $ tts-var calibrate --verifier geneval --prompts 120 --samples 8
  $ tts-var calibrate --reward geneval --previews 0.25,0.5,1 --prompts prompts.jsonl --dir my-calibration

Draws whole images of each prompt, scores every scale's previews, and measures within prompts how well they predict the
final reward. Writes <model>-<reward>.json and <model>-<reward>.svg. A search finds the file in configs/calibration of this
package by itself; others are named with --calibration.`;

interface Options {
  readonly prompts: string;
  readonly promptSeed: string;
  readonly samples: string;
  readonly copies: string;
  readonly previews: string;
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
    .option("--samples <n>", "Images per prompt", "16")
    .option("--copies <n>", "Images per prompt with a second continuation from every scale", "2")
    .option(
      "--previews <sizes>",
      "Preview sides relative to the image; the first one is calibrated",
      "0.5,0.25,1",
    )
    .option(
      "--verifier <reward>",
      "Also fit how likely an image is right: full marks of this reward count as right",
    )
    .option("--jobs <n>", "Prompts at a time", "2")
    .option("--dir <dir>", "Folder of the results", "configs/calibration")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      command.setOptionValue("prompt", "any prompt");
      command.setOptionValue("strategy", "single");
      command.setOptionValue("budget", 1);
      command.setOptionValue("calibration", "none");
      const interrupts = watchInterrupts();
      try {
        const progress = createProgress(options.quiet ?? false);
        const { config } = await resolveFlags(command);
        const result = await calibrate(config, options, progress, interrupts.signal);
        if (options.json) printJson({ file: result.file, plot: result.plot, ...result.calibration });
        else printResult(describe(result.calibration, result.file));
      } finally {
        interrupts.stop();
      }
    });
}

async function calibrate(config: SearchConfig, options: Options, progress: Progress, signal: AbortSignal) {
  const { openSearch, planConfig } = await import("../../assemble/open-search.ts");
  const { calibrationFile } = await import("../../assemble/find-calibration.ts");
  const { runCalibration } = await import("../../study/run-calibration.ts");
  const { optimiseSchedule } = await import("../../../search/parts/optimise-schedule.ts");
  const { plotCalibration } = await import("../../study/plots.ts");
  const { createCostModel } = await import("../../engine/cost-model.ts");
  const { openOutputFile } = await import("../../io/ownership.ts");
  const { isCalibration } = await import("../../study/study-folder.ts");
  const prompts = await loadPrompts(options.prompts, options.promptSeed);
  const width = parseCount(options.samples, "--samples");
  const host = pluginHost(config.allowDownload, progress);
  const planned = await planConfig(config, host);
  const file = join(options.dir, calibrationFile(config.model, config.reward.name));
  const plot = file.replace(/json$/, "svg");
  const rules = { flag: "--dir", isOurs: () => isCalibration(file) };
  const output = { command: "calibrate", force: options.force ?? false };
  using results = await openOutputFile(file, output, rules);
  using plotted = await openOutputFile(plot, output, rules);
  const owned = new Disposal();
  return await owned.during(async () => {
    const { generator, reward } = owned.use(await openSearch(planned));
    const primaryReward = config.reward.name;
    const verifier = options.verifier === undefined ? null : await openVerifier(options.verifier, host);
    if (verifier) owned.use(verifier.reward);
    const curves = await runCalibration({
      generator,
      settings: planned.settings,
      reward,
      primaryReward,
      verifier,
      prompts,
      seed: config.seed,
      width,
      copies: Math.min(width, options.copies === "0" ? 0 : parseCount(options.copies, "--copies")),
      previews: parsePreviews(options.previews, generator.latent),
      jobs: parseCount(options.jobs, "--jobs"),
      signal,
      onPrompt: (done, of) => progress.status(`${done} of ${of} prompts`),
    });
    const cost = createCostModel({
      generator,
      settings: planned.settings,
      rewards: { [primaryReward]: reward },
      primaryReward,
      featureFlops: null,
    });
    const [{ calibration: measured, latent, preview }, ...others] = curves as [
      MeasuredCurve,
      ...MeasuredCurve[],
    ];
    const schedules = [2, 3, 4, 6, 8, 12, 16].map((units) =>
      optimiseSchedule({ calibration: measured, cost, reward: primaryReward, preview: latent, units }),
    );
    const calibration: Calibration = { ...measured, schedules };
    const conditions = {
      prompts: prompts.length,
      promptSeed: options.promptSeed,
      samples: width,
      seed: config.seed,
      sampling: planned.settings,
      preview,
      otherPreviews: Object.fromEntries(others.map((curve) => [curve.preview, curve.calibration.scales])),
    };
    const text = JSON.stringify({ ...calibration, measured: conditions }, roundNumbers, 2);
    await results.write(`${text}\n`);
    await plotted.write(plotCalibration(curves, cost));
    return { calibration, file, plot };
  });
}

/** @throws CONFIG_INVALID for a reward that has no full marks */
async function openVerifier(spec: string, host: PluginHost) {
  const { rewardRegistry } = await import("../../assemble/builtins.ts");
  const { loadReward } = await import("../../plugins/load-reward.ts");
  const { createScoring } = await import("../../scoring/create-scoring.ts");
  const { value } = await loadReward(spec, {}, { ...host, registry: rewardRegistry });
  if (!value.range || value.direction !== "higher") {
    await value[Symbol.asyncDispose]();
    throw new TtsVarError(
      "CONFIG_INVALID",
      `--verifier ${spec}: must be a reward with a highest score, which then counts as right; geneval is one`,
    );
  }
  return { name: value.name, reward: createScoring(value), fullMarks: value.range[1] };
}

function parsePreviews(text: string, full: { readonly h: number; readonly w: number }) {
  return text.split(",").map((part) => {
    const fraction = Number(part);
    if (!(fraction > 0 && fraction <= 1)) {
      throw new TtsVarError(
        "USAGE",
        `--previews ${text}: must be numbers above 0 and at most 1, separated by commas`,
      );
    }
    const latent = {
      h: Math.max(1, Math.round(full.h * fraction)),
      w: Math.max(1, Math.round(full.w * fraction)),
    };
    return { name: part, latent: latent.h >= full.h && latent.w >= full.w ? null : latent };
  });
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}

function describe({ scales, schedules, acceptance }: Calibration, file: string): string {
  const lines = scales.map(
    ({ scale, correlation, decided }) =>
      `${String(scale).padStart(5)}  ${correlation.toFixed(3).padStart(11)}  ${decided.toFixed(3).padStart(7)}`,
  );
  const best = (schedules ?? []).map(({ units, start, cuts }) => {
    const steps = cuts.map(({ scale, keep }) => `${keep} after scale ${scale}`).join(", ");
    return `${String(units).padStart(5)} units: ${start}${steps ? `, ${steps}` : ""}`;
  });
  const right = acceptance
    ? [
        "",
        `log odds of a right image (by ${acceptance.verifier}): ${acceptance.intercept.toFixed(2)} + ${acceptance.slope.toFixed(2)} reward; ` +
          `share of right images by prompt: Beta(${acceptance.prior.right.toFixed(2)}, ${acceptance.prior.wrong.toFixed(2)})`,
      ]
    : [];
  return ["scale  correlation  decided", ...lines, "", "best pruning:", ...best, ...right, "", file].join(
    "\n",
  );
}
