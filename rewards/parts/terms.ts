import { z } from "zod";
import { Disposal } from "../../src/core/disposal.ts";
import type { RewardHost } from "../../src/core/plugin.ts";
import type { Reward, RewardContext, RewardItem, RewardScores, RewardTraits } from "../../src/core/reward.ts";

/** A reward within a mixture or a ranking. */
export const termSchema = z.strictObject({
  use: z.string().min(1).describe("reward: a name, file, npm: or http address"),
  weight: z.number().positive().default(1),
  options: z.record(z.string(), z.unknown()).optional(),
});
export type Term = z.output<typeof termSchema>;

/** The opened rewards of all terms. */
export interface OpenTerms extends AsyncDisposable {
  readonly traits: readonly RewardTraits[];
  /** As messages and details call them: what they use, numbered where one occurs twice. */
  readonly names: readonly string[];
  /** Raw scores of all terms, in the terms' order. */
  score(batch: readonly RewardItem[], context: RewardContext): Promise<readonly RewardScores[]>;
}

export async function openTerms(terms: readonly Term[], host: RewardHost): Promise<OpenTerms> {
  const owned = new Disposal();
  const rewards = await owned.during(async () => {
    const loaded: Reward[] = [];
    for (const { use, options } of terms) loaded.push(owned.use(await host.loadReward(use, options)));
    return loaded;
  });
  return {
    traits: rewards,
    names: terms.map(({ use }, at) =>
      terms.findIndex((other) => other.use === use) === at ? use : `${use} (${at + 1})`,
    ),
    async score(batch, context) {
      const answers: RewardScores[] = [];
      for (const reward of rewards) answers.push(await reward.score(batch, context));
      return answers;
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

/** The terms' traits without their weights, for plans. */
export function describeTerms(terms: readonly Term[], host: RewardHost): Promise<RewardTraits[]> {
  return Promise.all(terms.map(({ use, options }) => host.describeReward(use, options)));
}

/** Traits that follow from the parts, whatever is made of their scores. */
export function traitsOfTerms(terms: readonly Term[], parts: readonly RewardTraits[]) {
  const modelIds = parts.flatMap((part) => (part.modelId === undefined ? [] : [part.modelId]));
  return {
    version: JSON.stringify(["1", terms, parts.map((part) => [part.name, part.version])]),
    direction: "higher",
    range: null,
    flops: parts.reduce((sum, part) => sum + part.flops, 0),
    license: [...new Set(parts.map((part) => part.license))].join(", "),
    source: terms.map((part) => `${part.weight} ${part.use}`).join(" + "),
    ...(modelIds.length > 0 ? { modelId: modelIds.join("+") } : {}),
  } as const satisfies Partial<RewardTraits>;
}

/** A score with higher meaning better. */
export function upwards(raw: number, { direction }: Pick<RewardTraits, "direction">): number {
  return direction === "higher" ? raw : -raw;
}
