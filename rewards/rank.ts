import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardScores, RewardTraits } from "../src/core/reward.ts";
import { facts } from "./parts/facts.ts";
import { describeTerms, openTerms, type Term, termSchema, traitsOfTerms, upwards } from "./parts/terms.ts";

const options = z.strictObject({ terms: z.array(termSchema).min(1) });

/** What the terms said of one image; null: not applicable. */
type Said = readonly (number | null)[];

/**
 * Weighted mean of the images' ranks under several rewards, 0 (worst of those compared) to 1 (best): no scale has to be
 * known, and no reward with a wide spread outvotes the others. Ties share a rank.
 *
 * Ranks are about the images that one question of a strategy names (`among`), so they say which of these is better and
 * nothing beyond: for strategies that score all their candidates together. An image alone scores the terms' weighted mean
 * at their suggested lambdas, as `weighted` does.
 *
 * Source: rank ensembles of search-over-tokens (arXiv 2604.15453); Borda 1781.
 */
export const rank: RewardDefinition<z.output<typeof options>> = {
  name: "rank",
  summary: "mean rank under several rewards, among the candidates that are compared",
  license: "those of its terms",
  options,
  traits: async ({ terms }, host) => traitsOf(terms, await describeTerms(terms, host)),
  async create({ terms }, host) {
    const open = await openTerms(terms, host);
    const saidOf = (details: Readonly<Record<string, unknown>> | undefined): Said => {
      const raw = details?.["terms"] as Readonly<Record<string, number | null>>;
      return open.names.map((name, at) => {
        const score = raw[name] ?? null;
        return score === null ? null : upwards(score, open.traits[at]!);
      });
    };
    return {
      ...traitsOf(terms, open.traits),
      async score(batch, context) {
        const answers = await open.score(batch, context);
        const details = batch.map((_, row) => ({
          terms: Object.fromEntries(open.names.map((name, at) => [name, answers[at]!.scores[row] ?? null])),
        }));
        return { scores: batch.map((item, row) => alone(item, row, terms, open.traits, answers)), details };
      },
      among: (details) => meanRanks(details.map(saidOf), terms),
      [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
    };
  },
};

/** Weighted mean rank of each image over the terms that apply to it. */
export function meanRanks(said: readonly Said[], terms: readonly Pick<Term, "weight">[]): number[] {
  const ranks = terms.map((_, at) => ranksOf(said.map((scores) => scores[at] ?? null)));
  return said.map((_, row) => {
    let sum = 0;
    let weight = 0;
    terms.forEach((term, at) => {
      const value = ranks[at]![row]!;
      if (value === null) return;
      sum += term.weight * value;
      weight += term.weight;
    });
    return sum / weight;
  });
}

/** Share of the others that each value beats, ties counting half; 1/2 where there is no other. */
function ranksOf(values: readonly (number | null)[]): (number | null)[] {
  const known = values.filter((value) => value !== null);
  return values.map((value) => {
    if (value === null) return null;
    if (known.length === 1) return 0.5;
    const beaten = known.filter((other) => other < value).length;
    const equal = known.filter((other) => other === value).length - 1;
    return (beaten + equal / 2) / (known.length - 1);
  });
}

function alone(
  item: RewardItem,
  row: number,
  terms: readonly Term[],
  traits: readonly RewardTraits[],
  answers: readonly RewardScores[],
): number {
  let sum = 0;
  let weight = 0;
  terms.forEach((term, at) => {
    const raw = answers[at]!.scores[row] ?? null;
    if (raw === null) return;
    sum += term.weight * upwards(raw, traits[at]!) * traits[at]!.suggestedLambda;
    weight += term.weight;
  });
  if (weight > 0) return sum / weight;
  throw new TtsVarError(
    "REWARD_FAILED",
    `no term of reward rank applies to candidate ${item.id} ("${item.prompt}")`,
  );
}

function traitsOf(terms: readonly Term[], parts: readonly RewardTraits[]): RewardTraits {
  const { suggestedLambda } = facts.rank;
  return { name: "rank", ...traitsOfTerms(terms, parts), suggestedLambda };
}
