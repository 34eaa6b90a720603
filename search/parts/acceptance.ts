import type { Acceptance } from "../../src/core/calibration.ts";
import { TtsVarError } from "../../src/core/errors.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";

/** Probability that a finished image with this reward is right. */
export function probabilityRight({ intercept, slope }: Acceptance, reward: number): number {
  return 1 / (1 + Math.exp(-(intercept + slope * reward)));
}

/**
 * How much one more sample is expected to raise the probability that the best one is right. A prompt's share of right
 * images is believed to be Beta distributed; every sample so far counts as right with its own probability.
 *
 * @param probabilities of the samples so far, at least one
 */
export function expectedGain({ prior }: Acceptance, probabilities: readonly number[]): number {
  const right = probabilities.reduce((sum, value) => sum + value, prior.right);
  const share = right / (prior.right + prior.wrong + probabilities.length);
  return share * (1 - Math.max(...probabilities));
}

/** @throws CONFIG_INVALID when the run has no calibration that knows how likely images are right */
export function acceptanceOf({ calibration, reward }: SearchSpace, strategy: string): Acceptance {
  if (calibration?.acceptance) return calibration.acceptance;
  throw new TtsVarError(
    "CONFIG_INVALID",
    `${strategy} needs a calibration that knows how likely an image is right, and there is none for this model and the reward ${reward}; ` +
      `make one with \`tts-var calibrate --reward ${reward} --verifier geneval\` and name it with --calibration, or use restart, which needs none`,
  );
}
