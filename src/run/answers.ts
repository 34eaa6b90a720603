import type { PlannedSearch } from "../assemble/open-search.ts";
import { DEFAULT_DIVERSITY } from "../config/schema.ts";
import { bestK, tokenDistances } from "../engine/best-k.ts";
import type { FinalCandidate, SearchResult } from "../engine/run-search.ts";

/** The best-k set of a search (`keep`, `diversity`), the answer first. */
export function answersOf(
  { candidates, best }: SearchResult,
  { config, generator, planInput }: Pick<PlannedSearch, "config" | "generator" | "planInput">,
): FinalCandidate[] {
  const { keep = 1, diversity = DEFAULT_DIVERSITY, reward } = config;
  const sign = planInput.rewards[reward.name]!.direction === "higher" ? 1 : -1;
  const rows = bestK(
    candidates.map(({ scores }) => sign * scores[reward.name]!),
    candidates.findIndex(({ id }) => id === best.id),
    (pool) =>
      tokenDistances(
        generator.tokens,
        pool.map((row) => candidates[row]!.tokens),
      ),
    { keep, diversity },
  );
  return rows.map((row) => candidates[row]!);
}
