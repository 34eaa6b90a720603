import { z } from "zod";
import { Disposal } from "../src/core/disposal.ts";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardScores, RewardTraits } from "../src/core/reward.ts";

const term = z.strictObject({
  use: z.string().min(1).describe("reward: a name, file, npm: or http address"),
  weight: z.number().positive().default(1),
  options: z.record(z.string(), z.unknown()).optional(),
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
 * and at other scales. `null` drops a term for that item and the other weights are renormalised. Raw scores of all
 * terms are kept in the details.
 */
export const weighted: RewardDefinition<z.output<typeof options>> = {
  name: "weighted",
  summary: "weighted mixture of rewards, standardised; a null score drops its term",
  license: "those of its terms",
  options,
  async traits({ terms }, host) {
    return traitsOf(
      terms,
      await Promise.all(terms.map((part) => host.describeReward(part.use, part.options))),
    );
  },
  async create({ terms }, host) {
    const owned = new Disposal();
    const rewards = await owned.during(async () => {
      const loaded = [];
      for (const part of terms) loaded.push(owned.use(await host.loadReward(part.use, part.options)));
      return loaded;
    });
    const names = terms.map((part, index) =>
      terms.findIndex((other) => other.use === part.use) === index ? part.use : `${part.use} (${index + 1})`,
    );
    return {
      ...traitsOf(terms, rewards),
      async score(batch, context) {
        const answers: RewardScores[] = [];
        for (const reward of rewards) answers.push(await reward.score(batch, context));
        const scores = batch.map((item, row) => mix(item, row, terms, rewards, answers));
        const details = batch.map((_, row) => ({
          terms: Object.fromEntries(names.map((name, index) => [name, answers[index]!.scores[row] ?? null])),
        }));
        return { scores, details };
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
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
  const sign = traits.direction === "higher" ? 1 : -1;
  if (standardize === "none") return sign * raw;
  if (standardize === "lambda") return sign * raw * traits.suggestedLambda;
  return (sign * (raw - standardize.mean)) / standardize.std;
}

function traitsOf(terms: readonly Term[], parts: readonly RewardTraits[]): RewardTraits {
  const modelIds = parts.flatMap((part) => (part.modelId === undefined ? [] : [part.modelId]));
  return {
    name: "weighted",
    version: JSON.stringify(["1", terms, parts.map((part) => [part.name, part.version])]),
    direction: "higher",
    range: null,
    suggestedLambda: 1,
    flops: parts.reduce((sum, part) => sum + part.flops, 0),
    license: [...new Set(parts.map((part) => part.license))].join(", "),
    source: terms.map((part) => `${part.weight} ${part.use}`).join(" + "),
    ...(modelIds.length > 0 ? { modelId: modelIds.join("+") } : {}),
  };
}
