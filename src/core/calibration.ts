/** Preview reward against final reward by scale, measured by `tts-var calibrate` within prompts. */
export interface Calibration {
  readonly schemaVersion: 1;
  /** Generator as name@version, the reward, and its version: a calibration holds for these weights only. */
  readonly model: string;
  readonly reward: string;
  readonly rewardVersion: string;
  readonly scales: readonly ScaleCalibration[];
  /** Best pruning schedules under this curve by budget, found by `optimiseSchedule`. */
  readonly schedules?: readonly PruningSchedule[];
  /** How likely a finished image is right; absent when the calibration was made without a verifier. */
  readonly acceptance?: Acceptance;
  /** Which strategy was best at which budget; what `auto` chooses. */
  readonly recommended?: readonly Recommendation[];
}

/** The best strategy at a budget, decided on the calibration's images. */
export interface Recommendation {
  readonly units: number;
  readonly strategy: string;
  readonly options: Readonly<Record<string, unknown>>;
  /**
   * How much better its answers are than best-of-n's at the same budget, with the standard error over prompts: a share of
   * right images by the verifier, or of the reward without one. Chosen among several, so its own gain flatters it.
   */
  readonly gain: number;
  readonly error: number;
  /** Units that it spent on average. */
  readonly spent: number;
}

/** Probability that a finished image is right: a logistic regression on its reward, as strategies see it. */
export interface Acceptance {
  /** Reward whose full marks counted as right when this was fitted; a search does not need it. */
  readonly verifier: string;
  readonly intercept: number;
  readonly slope: number;
  /** Beta distribution of a prompt's share of right images over prompts. */
  readonly prior: { readonly right: number; readonly wrong: number };
}

/** Candidates at the start, and how many are kept after which scales. */
export interface PruningSchedule {
  readonly units: number;
  readonly start: number;
  readonly cuts: readonly { readonly scale: number; readonly keep: number }[];
  /** Expected final reward of the answer, in standard deviations within a prompt. */
  readonly expected: number;
}

export interface ScaleCalibration {
  readonly scale: number;
  /** Within-prompt correlation of the preview's and the final reward. */
  readonly correlation: number;
  /** Slope of the regression of the final on the preview reward, within prompts. */
  readonly slope: number;
  /** Standard deviation of the regression's residual. */
  readonly residual: number;
  /** Share of the final reward's within-prompt variance that is decided by this scale's tokens and earlier ones. */
  readonly decided: number;
}
