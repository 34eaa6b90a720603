import { availableParallelism } from "node:os";
import type { Disposal } from "../core/disposal.ts";
import type { Generator } from "../core/generator.ts";
import type { Reward } from "../core/reward.ts";
import { sideBySide } from "../generators/side-by-side.ts";
import { openSearch, type PlannedSearch } from "./open-search.ts";

/** Weights of generators that are copied unasked, in bytes. */
const mostCopied = 2 ** 28;

export interface OpenCopies {
  readonly generator: Generator;
  readonly reward: Reward;
  readonly generators: number;
}

/**
 * Opens a search's models with several copies of its generator, which draw side by side: many searches at a time get more
 * out of one thread for each copy than out of all cores for each operator.
 *
 * @param wanted copies; undefined: one per core for small generators, else one
 * @param owned  disposes of everything
 */
export async function openCopies(
  planned: PlannedSearch,
  wanted: number | undefined,
  owned: Disposal,
): Promise<OpenCopies> {
  const cores = availableParallelism();
  const small = (planned.plan.memory?.weights ?? Number.POSITIVE_INFINITY) <= mostCopied;
  const generators = wanted ?? (small ? cores : 1);
  const { threads = generators > 1 ? Math.max(1, Math.floor(cores / generators)) : undefined } =
    planned.config;
  const config = { ...planned.config, ...(threads === undefined ? {} : { threads }) };
  const { generator, reward } = owned.use(await openSearch({ ...planned, config }));
  const others: Generator[] = [];
  for (let lane = 1; lane < generators; lane++) {
    const options = { lane, ...(threads === undefined ? {} : { threads }) };
    others.push(owned.use(await planned.found.definition.open(planned.request, options)));
  }
  return { generator: generators > 1 ? sideBySide([generator, ...others]) : generator, reward, generators };
}
