import { autoCandidates } from "../../search/auto.ts";
import { optimiseSchedule } from "../../search/parts/optimise-schedule.ts";
import type { BenchmarkItem } from "../core/benchmark.ts";
import type { Calibration, Recommendation } from "../core/calibration.ts";
import type { OutputFile } from "../io/ownership.ts";
import type { ScaleIntervals } from "../study/measure-calibration.ts";
import { plotCalibration } from "../study/plots.ts";
import { recommend } from "../study/recommend.ts";
import { wholeKey } from "../study/record-tree.ts";
import type { CalibrationMeasurement, MeasuredCurve } from "../study/run-calibration.ts";
import type { OpenCalibration } from "./open-calibration.ts";

export interface CalibrationFiles {
  readonly calibration: Calibration;
  readonly intervals: readonly ScaleIntervals[];
  readonly file: string;
  readonly plot: string;
}

/** The two files of a calibration, claimed before it is measured. */
export interface CalibrationOutput extends Pick<CalibrationFiles, "file" | "plot"> {
  readonly results: OutputFile;
  readonly plotted: OutputFile;
}

/** Budgets for which pruning schedules are looked for. */
const scheduled = [2, 3, 4, 6, 8, 12, 16];
/** Budgets for which strategies are compared. */
const compared = [2, 4, 8, 16];

/** What was measured, on which models and for which tasks. */
export interface Measured extends CalibrationMeasurement {
  readonly parts: OpenCalibration;
  readonly prompts: readonly BenchmarkItem[];
  readonly seed: number | string;
}

/**
 * Writes the first curve as a calibration, with the best pruning schedules under it, the best strategies by budget, what it
 * was measured with, and the other curves; and a plot of all.
 *
 * @param conditions the command, and everything else that decides the figures
 */
export async function writeCalibration(
  { file, plot, results, plotted }: CalibrationOutput,
  measured: Measured,
  conditions: Readonly<Record<string, unknown>>,
): Promise<CalibrationFiles> {
  const { curves, parts } = measured;
  const { cost } = parts;
  const [{ calibration: curve, view, preview, intervals }, ...others] = curves as [
    MeasuredCurve,
    ...MeasuredCurve[],
  ];
  const schedules = scheduled.map((units) =>
    optimiseSchedule({ calibration: curve, cost, reward: curve.reward, preview: view, units }),
  );
  const scheduling: Calibration = { ...curve, schedules };
  const calibration: Calibration = { ...scheduling, recommended: recommended(measured, scheduling) };
  const content = {
    ...calibration,
    measured: {
      ...conditions,
      preview,
      intervals,
      otherPreviews: Object.fromEntries(
        others.map((other) => [
          other.preview,
          other.calibration.scales.map((figures, scale) => ({
            ...figures,
            intervals: other.intervals[scale],
          })),
        ]),
      ),
    },
  };
  await results.write(`${JSON.stringify(content, roundNumbers, 2)}\n`);
  await plotted.write(plotCalibration(curves, cost));
  return { calibration, intervals, file, plot };
}

/** Strategies decided on the images that were drawn anyway: by the verifier where there is one, else by the reward. */
function recommended({ trees, prompts, seed, parts }: Measured, calibration: Calibration): Recommendation[] {
  const { generator, reward, primaryReward, verifier } = parts;
  const last = generator.traits.stages.length - 1;
  const sign = reward.direction === "lower" ? -1 : 1;
  return recommend({
    trees: trees.map((tree, at) => ({ tree, prompt: prompts[at]!.prompt, seed })),
    plan: {
      generator: generator.traits,
      rewards: { [primaryReward]: reward },
      primaryReward,
      features: null,
      calibration,
    },
    candidates: autoCandidates,
    budgets: compared,
    value: (tree, root) =>
      verifier
        ? Number(tree.scores[wholeKey(verifier.name, last)]![root]! >= verifier.fullMarks)
        : sign * tree.scores[wholeKey(primaryReward, last)]![root]!,
  });
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
