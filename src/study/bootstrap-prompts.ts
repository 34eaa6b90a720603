import { createRng } from "../core/rng.ts";
import type { Interval } from "../eval/statistics/intervals.ts";

/**
 * A figure of sums over prompts, with the interval that other prompts would give: 95 %, percentiles of a bootstrap over
 * prompts. The same prompts are drawn for every figure, so that figures of one study can be compared.
 *
 * @param sums of each prompt
 */
export function bootstrapPrompts<Sums>(
  sums: readonly Sums[],
  figure: (drawn: readonly Sums[]) => number,
  draws: number,
): Interval {
  const uniforms = new Float64Array(sums.length);
  const rng = createRng("study", "previews");
  const drawn = Array.from({ length: draws }, (_, draw) => {
    rng.stream("stats", "prompts", draw).fill(uniforms);
    return figure(Array.from(uniforms, (uniform) => sums[Math.floor(uniform * sums.length)]!));
  }).sort((a, b) => a - b);
  const at = (share: number): number => drawn[Math.min(draws - 1, Math.floor(share * draws))]!;
  return { estimate: figure(sums), low: at(0.025), high: at(0.975) };
}
