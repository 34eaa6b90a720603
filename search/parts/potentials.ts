/**
 * What a candidate's preview rewards so far are worth (TTS-VAR section 3.3; FK-steering section 3). The weight of a
 * candidate is exp(lambda * potential).
 */
export const POTENTIALS = ["value", "diff", "sum", "max", "top-q"] as const;
export type Potential = (typeof POTENTIALS)[number];

/**
 * Potential of one candidate.
 *
 * - `value` the latest reward
 * - `diff`  its gain over the one before; the first reward counts from 0
 * - `sum`   sum of all
 * - `max`   largest of all
 * - `top-q` sum of the q largest
 *
 * @param history rewards of the candidate and its ancestors, oldest first, at least one
 */
export function potential(kind: Potential, history: readonly number[], q = 2): number {
  const latest = history.at(-1)!;
  switch (kind) {
    case "value":
      return latest;
    case "diff":
      return latest - (history.at(-2) ?? 0);
    case "sum":
      return history.reduce((sum, reward) => sum + reward, 0);
    case "max":
      return Math.max(...history);
    case "top-q":
      return [...history]
        .sort((a, b) => b - a)
        .slice(0, q)
        .reduce((sum, reward) => sum + reward, 0);
  }
}
