import type { RewardTraits } from "../core/reward.ts";
import { createRng } from "../core/rng.ts";

/** Name of the judge as a reward, for the oracle. */
export const judgeReward = "judge";

/** Name of a reward that agrees with the judge as far as its reliability says. */
export function virtualName(reliability: number): string {
  return `${judgeReward}-${reliability}`;
}

/**
 * Rewards made of the judge, to separate what a search does from how good its reward is: the judge itself, and mixtures
 * `r * verdict + sqrt(1 - r^2) * noise` with reliability r, the correlation with the verdict within a prompt of which
 * half the images are right. They cost nothing, and belong to no real method.
 */
export function virtualTraits(
  judgeId: string,
  reliabilities: readonly number[],
): Readonly<Record<string, RewardTraits>> {
  const names = [judgeReward, ...reliabilities.map(virtualName)];
  return Object.fromEntries(
    names.map((name) => [
      name,
      {
        name,
        version: judgeId,
        direction: "higher",
        range: name === judgeReward ? [0, 1] : null,
        suggestedLambda: 1,
        flops: 0,
        license: "",
        source: "",
      } satisfies RewardTraits,
    ]),
  );
}

/**
 * Score of a finished image by a virtual reward.
 *
 * @param where names the search (seed and prompt), so that noise is fixed for a candidate, whoever asks
 */
export function virtualScore(
  name: string,
  correct: boolean,
  candidate: string,
  where: { readonly seed: string; readonly prompt: string },
): number {
  if (name === judgeReward) return Number(correct);
  const reliability = Number(name.slice(judgeReward.length + 1));
  const noise = createRng(where.seed, where.prompt).stream("stats", candidate, 0).normal(0);
  // A verdict that is right half the time has a standard deviation of one half.
  return reliability * (correct ? 1 : -1) + Math.sqrt(1 - reliability ** 2) * noise;
}
