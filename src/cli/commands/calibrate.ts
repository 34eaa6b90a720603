import { join } from "node:path";
import type { Command } from "commander";
import type { SearchConfig } from "../../config/schema.ts";
import { TtsVarError } from "../../core/errors.ts";
import type { Calibration } from "../../core/strategy.ts";
import type { Tree } from "../../study/record-tree.ts";
import { addOutputFlags, addSearchFlags, resolveFlags } from "../flags.ts";
import { loadPrompts, parseCount } from "../geneval/prompt-source.ts";
import { watchInterrupts } from "../interrupt.ts";
import { printJson, printResult } from "../output.ts";
import { createProgress, type Progress } from "../progress.ts";
import { pluginHost } from "./search.ts";

const EXAMPLES = `
Examples:
  $ tts-var calibrate --prompts 48 --samples 16
  $ tts-var calibrate --reward geneval --previews 0.25,0.5,1 --prompts prompts.jsonl --dir my-calibration

Draws whole images of each prompt, scores every scale's previews, and measures within prompts how well they predict the
final reward. Writes <model>-<reward>.json, for --calibration, and <model>-<reward>.svg.`;

interface Options {
  readonly prompts: string;
  readonly promptSeed: string;
  readonly samples: string;
  readonly copies: string;
  readonly previews: string;
  readonly dir: string;
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
  addOutputFlags(addSearchFlags(command))
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
    .option("--dir <dir>", "Folder of the results", "configs/calibration")
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      command.setOptionValue("prompt", "any prompt");
      command.setOptionValue("strategy", "single");
      command.setOptionValue("budget", 1);
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
  const { openSearch, planConfig } = await import("../../open-search.ts");
  const { recordTree } = await import("../../study/record-tree.ts");
  const { measureCalibration } = await import("../../study/measure-calibration.ts");
  const { optimiseSchedule } = await import("../../../search/optimise-schedule.ts");
  const { plotCalibration } = await import("../../study/plots.ts");
  const { createCostModel } = await import("../../engine/cost-model.ts");
  const { writeFileAtomic } = await import("../../io/atomic.ts");
  const prompts = await loadPrompts(options.prompts, options.promptSeed);
  const width = parseCount(options.samples, "--samples");
  const copies = Math.min(width, options.copies === "0" ? 0 : parseCount(options.copies, "--copies"));
  const planned = await planConfig(config, pluginHost(config.allowDownload, progress));
  const open = await openSearch(planned);
  try {
    const { sampler, reward } = open;
    const primaryReward = config.reward.name;
    const previews = parsePreviews(options.previews, sampler.latent);
    const trees: Tree[] = [];
    for (const [index, metadata] of prompts.entries()) {
      signal.throwIfAborted();
      progress.status(`prompt ${index + 1} of ${prompts.length}`);
      const { tree } = await recordTree(
        {
          sampler,
          rewards: { [primaryReward]: reward },
          primaryReward,
          features: null,
          prompt: metadata.prompt,
          metadata: { ...metadata },
          seed: config.seed,
          settings: planned.settings,
          calibration: null,
          signal,
        },
        {
          width,
          rewards: [primaryReward],
          previews: previews.map(({ latent }) => latent),
          featurePreview: false,
          copies,
        },
      );
      trees.push(tree);
    }
    const cost = createCostModel({
      sampler,
      settings: planned.settings,
      rewards: { [primaryReward]: reward },
      primaryReward,
      featureFlops: null,
    });
    const curves = previews.map(({ name, latent }) => ({
      preview: name,
      latent,
      calibration: measureCalibration(trees, {
        model: `${sampler.name}@${sampler.version}`,
        reward: primaryReward,
        direction: reward.direction,
        scales: sampler.scales.length,
        preview: latent,
      }),
    }));
    const [first] = curves;
    const schedules = [2, 3, 4, 6, 8, 12, 16].map((units) =>
      optimiseSchedule({
        calibration: first!.calibration,
        cost,
        reward: primaryReward,
        preview: first!.latent,
        units,
      }),
    );
    const calibration: Calibration = { ...first!.calibration, schedules };
    const base = join(options.dir, `${slug(config.model)}-${slug(primaryReward)}`);
    const measured = {
      rewardVersion: reward.version,
      prompts: prompts.length,
      samples: width,
      preview: first!.preview,
      otherPreviews: Object.fromEntries(
        curves.slice(1).map((curve) => [curve.preview, curve.calibration.scales]),
      ),
    };
    await writeFileAtomic(
      `${base}.json`,
      `${JSON.stringify({ ...calibration, measured }, roundNumbers, 2)}\n`,
    );
    await writeFileAtomic(`${base}.svg`, plotCalibration(curves, cost));
    return { calibration, file: `${base}.json`, plot: `${base}.svg` };
  } finally {
    await open[Symbol.asyncDispose]();
  }
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

function slug(name: string): string {
  return name
    .replace(/[^A-Za-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .toLowerCase();
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}

function describe({ scales, schedules }: Calibration, file: string): string {
  const lines = scales.map(
    ({ scale, correlation, decided }) =>
      `${String(scale).padStart(5)}  ${correlation.toFixed(3).padStart(11)}  ${decided.toFixed(3).padStart(7)}`,
  );
  const best = (schedules ?? []).map(({ units, start, cuts }) => {
    const steps = cuts.map(({ scale, keep }) => `${keep} after scale ${scale}`).join(", ");
    return `${String(units).padStart(5)} units: ${start}${steps ? `, ${steps}` : ""}`;
  });
  return ["scale  correlation  decided", ...lines, "", "best pruning:", ...best, "", file].join("\n");
}
