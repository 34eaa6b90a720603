import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardScores, RewardTraits } from "../src/core/reward.ts";
import { describeTerms, openTerms, termSchema, traitsOfTerms, upwards } from "./parts/terms.ts";

const term = termSchema.extend({
  standardize: z
    .union([z.enum(["lambda", "none"]), z.strictObject({ mean: z.number(), std: z.number().positive() })])
    .default("lambda"),
});

const options = z.strictObject({ terms: z.array(term).min(1) });
type Term = z.output<typeof term>;

/**
 * Weighted mean of rewards, oriented so that higher is better, each brought to a common scale first:
 * - `lambda` (default): times its suggested lambda, which is about one over its spread within a prompt;
 * - `{mean, std}`: its z-score under fixed figures; - `none`: as it is.
 *
 * Statistics of the batch at hand are no choice: the same image would then score differently beside other candidates
 * and at other scales (`rank` compares within one question instead). `null` drops a term for that item and the other
 * weights are renormalised. Raw scores of all terms are kept in the details.
 */
export const weighted: RewardDefinition<z.output<typeof options>> = {
  name: "weighted",
  summary: "weighted mixture of rewards, standardised; a null score drops its term",
  license: "those of its terms",
  options,
  traits: async ({ terms }, host) => traitsOf(terms, await describeTerms(terms, host)),
  async create({ terms }, host) {
    const open = await openTerms(terms, host);
    return {
      ...traitsOf(terms, open.traits),
      async score(batch, context) {
        const answers = await open.score(batch, context);
        const scores = batch.map((item, row) => mix(item, row, terms, open.traits, answers));
        const details = batch.map((_, row) => ({
          terms: Object.fromEntries(
            open.names.map((name, index) => [name, answers[index]!.scores[row] ?? null]),
          ),
        }));
        return { scores, details };
      },
      [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
    };
  },
};

function mix(
  item: RewardItem,
  row: number,
  terms: readonly Term[],
  traits: readonly RewardTraits[],
  answers: readonly RewardScores[],
): number {
  let sum = 0;
  let weight = 0;
  terms.forEach((part, index) => {
    const raw = answers[index]!.scores[row];
    if (raw === null || raw === undefined) return;
    sum += part.weight * commonScale(raw, part, traits[index]!);
    weight += part.weight;
  });
  if (weight > 0) return sum / weight;
  throw new TtsVarError(
    "REWARD_FAILED",
    `no term of reward weighted applies to candidate ${item.id} ("${item.prompt}")`,
  );
}

function commonScale(raw: number, { standardize }: Term, traits: RewardTraits): number {
  if (standardize === "none") return upwards(raw, traits);
  if (standardize === "lambda") return upwards(raw, traits) * traits.suggestedLambda;
  return upwards(raw - standardize.mean, traits) / standardize.std;
}

function traitsOf(terms: readonly Term[], parts: readonly RewardTraits[]): RewardTraits {
  return { name: "weighted", ...traitsOfTerms(terms, parts), suggestedLambda: 1 };
}
