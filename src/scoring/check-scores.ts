import { TtsVarError } from "../core/errors.ts";
import type { RewardItem, RewardScores } from "../core/reward.ts";
import type { ScoredItem } from "./score-memo.ts";

/** How a reward is called in messages. */
export interface RewardWords {
  readonly name: string;
  /** Name, and where it came from. */
  readonly label: string;
  /** What to do about a wrong answer. */
  readonly remedy: string;
}

/**
 * Pairs a reward's answer with the batch it was asked for.
 *
 * @param nulls whether `null` (not applicable) is allowed, as inside a mixture
 * @throws REWARD_FAILED for a wrong length or a missing number, REWARD_VALUE for NaN and infinities. Scores are never
 *   repaired: a silent substitute would decide the search.
 */
export function checkScores(
  { name, label, remedy }: RewardWords,
  batch: readonly RewardItem[],
  answer: RewardScores,
  nulls: boolean,
): ScoredItem[] {
  const { scores, details } = answer;
  const ids = batch.map((item) => item.id);
  const fail = (problem: string) =>
    new TtsVarError("REWARD_FAILED", `reward ${label} ${problem}`, {
      details: { reward: name, candidates: ids },
    });
  if (scores.length !== batch.length) {
    throw fail(
      `returned ${scores.length} scores for ${batch.length} images (${listIds(ids)}); return one number per item, in the batch's order`,
    );
  }
  if (details !== undefined && details.length !== batch.length) {
    throw fail(
      `returned ${details.length} details for ${batch.length} images (${listIds(ids)}); give one per item or none`,
    );
  }
  return batch.map((item, index) => {
    const score = scores[index];
    const detail = details?.[index];
    const unsafe = detail === undefined ? null : jsonProblem(detail);
    if (unsafe !== null) {
      throw fail(`gave details for candidate ${item.id} that are no JSON: ${unsafe}; give plain values`);
    }
    if (score === null && nulls) return { score, ...(detail && { detail }) };
    if (score === null) {
      throw fail(
        `returned null for candidate ${item.id}: null (not applicable) is only for terms of a weighted mixture`,
      );
    }
    if (typeof score !== "number") {
      throw fail(
        `returned ${score === undefined ? "nothing" : typeof score} for candidate ${item.id}; scores must be numbers`,
      );
    }
    if (!Number.isFinite(score)) {
      throw new TtsVarError(
        "REWARD_VALUE",
        `reward ${label} gave ${score} for candidate ${item.id} ("${item.prompt}"); scores must be finite numbers. ${remedy}`,
        { details: { reward: name, candidate: item.id, score: String(score) } },
      );
    }
    return { score, ...(detail && { detail }) };
  });
}

/** Why a value cannot be written as JSON; null if it can. */
function jsonProblem(value: unknown): string | null {
  try {
    JSON.stringify(value);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The first few ids of a batch, for messages. */
export function listIds(ids: readonly string[]): string {
  return ids.length <= 6 ? ids.join(", ") : `${ids.slice(0, 6).join(", ")} and ${ids.length - 6} more`;
}
