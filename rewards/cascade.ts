import { z } from "zod";
import { Disposal } from "../src/core/disposal.ts";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardTraits } from "../src/core/reward.ts";

const stage = z.strictObject({
  use: z.string().min(1).describe("reward: a name, file, npm: or http address"),
  options: z.record(z.string(), z.unknown()).optional(),
});

const options = z.strictObject({
  first: stage.describe("cheap reward, asked of every image"),
  second: stage.describe("expensive reward, asked of images that pass"),
  threshold: z.number().describe("score of the first reward from which an image passes"),
  floor: z
    .number()
    .optional()
    .describe("score at the threshold; default: lower end of the second reward's range"),
});
type CascadeOptions = z.output<typeof options>;

/**
 * Asks an expensive reward only of images that pass a cheap one. A passing image scores what the second reward says,
 * but at least `floor`; a failing one scores `floor` less what the first score lacks to the threshold. So every passing
 * image ranks above every failing one, and a score never depends on the other images of a batch.
 *
 * The budget is charged with both rewards for every image: an upper bound, since the share that passes is not known
 * before.
 *
 * Source: attentional cascades, Viola and Jones 2001.
 */
export const cascade: RewardDefinition<CascadeOptions> = {
  name: "cascade",
  summary: "an expensive reward only for images that pass a cheap one",
  license: "those of its parts",
  options,
  async traits(settings, host) {
    const first = await host.describeReward(settings.first.use, settings.first.options);
    return traitsOf(settings, first, await host.describeReward(settings.second.use, settings.second.options));
  },
  async create(settings, host) {
    const owned = new Disposal();
    const [first, second] = await owned.during(async () => [
      owned.use(await host.loadReward(settings.first.use, settings.first.options)),
      owned.use(await host.loadReward(settings.second.use, settings.second.options)),
    ]);
    const sign = { first: signOf(first), second: signOf(second) };
    const floor = floorOf(settings, second);
    return {
      ...traitsOf(settings, first, second),
      async score(batch, context) {
        const { scores: cheap } = await first.score(batch, context);
        // null (not applicable) cannot fail an image, so it passes.
        const margins = batch.map((_, row) => {
          const score = cheap[row];
          return typeof score === "number" ? sign.first * (score - settings.threshold) : 0;
        });
        const passing = [...batch.keys()].filter((row) => margins[row]! >= 0);
        const answered =
          passing.length > 0
            ? await second.score(
                passing.map((row) => batch[row]!),
                context,
              )
            : null;
        const expensive = new Map(passing.map((row, at) => [row, answered!.scores[at] ?? null]));
        const scores = margins.map((margin, row) => {
          if (margin < 0) return floor + margin;
          const score = expensive.get(row);
          return typeof score === "number" ? Math.max(sign.second * score, floor) : null;
        });
        const details = batch.map((_, row) => ({
          first: cheap[row] ?? null,
          second: expensive.get(row) ?? null,
        }));
        return { scores, details };
      },
      [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
    };
  },
};

function signOf(traits: RewardTraits): 1 | -1 {
  return traits.direction === "higher" ? 1 : -1;
}

function floorOf(settings: CascadeOptions, second: RewardTraits): number {
  if (settings.floor !== undefined) return settings.floor;
  if (second.range) return signOf(second) === 1 ? second.range[0] : -second.range[1];
  throw new TtsVarError(
    "CONFIG_INVALID",
    `options of reward cascade: floor is needed, since ${second.name} states no range`,
  );
}

function traitsOf(settings: CascadeOptions, first: RewardTraits, second: RewardTraits): RewardTraits {
  const modelIds = [first, second].flatMap((part) => (part.modelId === undefined ? [] : [part.modelId]));
  return {
    name: "cascade",
    version: JSON.stringify(["1", settings, [first, second].map((part) => [part.name, part.version])]),
    direction: "higher",
    range: null,
    suggestedLambda: second.suggestedLambda,
    flops: first.flops + second.flops,
    license: [...new Set([first.license, second.license])].join(", "),
    source: `${settings.first.use}, then ${settings.second.use}`,
    ...(modelIds.length > 0 ? { modelId: modelIds.join("+") } : {}),
  };
}
