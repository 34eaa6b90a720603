import { optimiseSchedule } from "../../search/parts/optimise-schedule.ts";
import type { Calibration } from "../core/calibration.ts";
import type { CostModel } from "../core/strategy.ts";
import type { OutputFile } from "../io/ownership.ts";
import type { ScaleIntervals } from "../study/measure-calibration.ts";
import { plotCalibration } from "../study/plots.ts";
import type { MeasuredCurve } from "../study/run-calibration.ts";

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

/**
 * Writes the first curve as a calibration, with the best pruning schedules under it, what it was measured with, and the
 * other curves; and a plot of all.
 *
 * @param conditions the command, and everything else that decides the figures
 */
export async function writeCalibration(
  { file, plot, results, plotted }: CalibrationOutput,
  curves: readonly MeasuredCurve[],
  cost: CostModel,
  conditions: Readonly<Record<string, unknown>>,
): Promise<CalibrationFiles> {
  const [{ calibration: measured, view, preview, intervals }, ...others] = curves as [
    MeasuredCurve,
    ...MeasuredCurve[],
  ];
  const schedules = scheduled.map((units) =>
    optimiseSchedule({ calibration: measured, cost, reward: measured.reward, preview: view, units }),
  );
  const calibration: Calibration = { ...measured, schedules };
  const content = {
    ...calibration,
    measured: {
      ...conditions,
      preview,
      intervals,
      otherPreviews: Object.fromEntries(
        others.map((curve) => [
          curve.preview,
          curve.calibration.scales.map((figures, scale) => ({
            ...figures,
            intervals: curve.intervals[scale],
          })),
        ]),
      ),
    },
  };
  await results.write(`${JSON.stringify(content, roundNumbers, 2)}\n`);
  await plotted.write(plotCalibration(curves, cost));
  return { calibration, intervals, file, plot };
}

function roundNumbers(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toPrecision(6)) : value;
}
