import pLimit from "p-limit";
import type { BenchmarkItem } from "../core/benchmark.ts";
import type { Calibration } from "../core/calibration.ts";
import type { Generator, View } from "../core/generator.ts";
import type { Reward } from "../core/reward.ts";
import { measureAcceptance } from "./measure-acceptance.ts";
import { calibrationIntervals, measureCalibration, type ScaleIntervals } from "./measure-calibration.ts";
import { recordTree, type Tree } from "./record-tree.ts";

export interface CalibrationRun {
  readonly generator: Generator;
  readonly reward: Reward;
  readonly primaryReward: string;
  /** Reward whose full marks count as right, with that score; null leaves out how likely images are right. */
  readonly verifier: { readonly name: string; readonly reward: Reward; readonly fullMarks: number } | null;
  readonly prompts: readonly BenchmarkItem[];
  readonly seed: number | string;
  /** Images per prompt, and how many of them get a second continuation from every scale. */
  readonly width: number;
  readonly copies: number;
  /** Previews by name. The first one is the calibration's. */
  readonly previews: readonly { readonly name: string; readonly view: View }[];
  readonly jobs: number;
  readonly signal: AbortSignal;
  onPrompt?(done: number, of: number): void;
}

/** A curve for each preview size; the first one with what is known of finished images. */
export interface MeasuredCurve {
  readonly preview: string;
  readonly view: View;
  readonly calibration: Calibration;
  readonly intervals: readonly ScaleIntervals[];
}

/** What was measured, and on what: strategies can be decided on the trees afterwards. */
export interface CalibrationMeasurement {
  readonly curves: readonly MeasuredCurve[];
  /** In the order of the prompts. */
  readonly trees: readonly Tree[];
}

/** Draws whole images of all prompts, looks at every scale, and measures what previews and finished images tell. */
export async function runCalibration(run: CalibrationRun): Promise<CalibrationMeasurement> {
  const { generator, primaryReward, reward, verifier, prompts } = run;
  const { traits } = generator;
  const limit = pLimit(run.jobs);
  let done = 0;
  const trees = await Promise.all(
    prompts.map((metadata) =>
      limit(async () => {
        run.signal.throwIfAborted();
        const { tree } = await recordTree(
          {
            generator,
            rewards: { [primaryReward]: reward, ...(verifier ? { [verifier.name]: verifier.reward } : {}) },
            primaryReward,
            features: null,
            task: { prompt: metadata.prompt, seed: run.seed, metadata: { ...metadata } },
            calibration: null,
            signal: run.signal,
          },
          {
            width: run.width,
            rewards: [primaryReward],
            finalRewards: verifier ? [verifier.name] : [],
            previews: run.previews.map(({ view }) => view),
            featurePreview: false,
            tokens: true,
            copies: run.copies,
          },
        );
        run.onPrompt?.(++done, prompts.length);
        return tree;
      }),
    ),
  );
  const common = {
    reward: primaryReward,
    direction: reward.direction,
    scales: traits.stages.length,
    shape: traits.shape,
  };
  const acceptance = verifier
    ? measureAcceptance(trees, { ...common, verifier: verifier.name, fullMarks: verifier.fullMarks })
    : null;
  const curves = run.previews.map(({ name, view }) => {
    const input = {
      ...common,
      model: `${traits.name}@${traits.version}`,
      rewardVersion: reward.version,
      preview: view,
    };
    const calibration = measureCalibration(trees, input);
    return {
      preview: name,
      view,
      calibration: acceptance ? { ...calibration, acceptance } : calibration,
      intervals: calibrationIntervals(trees, input),
    };
  });
  return { curves, trees };
}
