import { rewardRegistry } from "../assemble/builtins.ts";
import type { PluginHost } from "../core/plugin.ts";
import type { Reward, RewardContext, RewardItem, RewardTraits } from "../core/reward.ts";
import type { PluginProvenance } from "../plugins/load-module.ts";
import { loadReward } from "../plugins/load-reward.ts";
import { createScoring } from "../scoring/create-scoring.ts";
import { syntheticBatch } from "../scoring/synthetic-batch.ts";
import { quantity } from "./output.ts";

export interface RewardCheckRequest {
  readonly prompt: string;
  readonly options: unknown;
  readonly host: PluginHost;
}

export interface RewardCheck {
  readonly schemaVersion: 1;
  readonly spec: string;
  readonly traits: RewardTraits;
  readonly provenance: PluginProvenance;
  readonly scores: Readonly<Record<string, number>>;
  /** Milliseconds per image of the first batch (models load and compile) and of a later one. */
  readonly msPerImage: { readonly first: number; readonly later: number };
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Scores a synthetic batch and looks for what would spoil a search.
 *
 * @throws as `loadReward` and the scoring service, for plug-ins that cannot be scored with at all
 */
export async function checkReward(spec: string, request: RewardCheckRequest): Promise<RewardCheck> {
  const { value: reward, provenance } = await loadReward(spec, request.options, {
    ...request.host,
    registry: rewardRegistry,
  });
  try {
    const items = syntheticBatch(request.prompt);
    const begin = performance.now();
    const first = await scoreAfresh(reward, items, request.host);
    const middle = performance.now();
    const second = await scoreAfresh(reward, items, request.host);
    const end = performance.now();
    const reversed = await scoreAfresh(reward, items.toReversed(), request.host);
    const alone = await scoreAfresh(reward, items.slice(1, 2), request.host);
    const scores = Object.fromEntries(first);
    return {
      schemaVersion: 1,
      spec,
      traits: traitsOf(reward),
      provenance,
      scores,
      msPerImage: { first: (middle - begin) / items.length, later: (end - middle) / items.length },
      problems: [
        ...differences(
          "scored twice, the same batch gives other scores",
          first,
          second,
          "set the seeds of what it computes with",
        ),
        ...differences(
          "in reversed order, images get other scores",
          first,
          reversed,
          "return scores in the batch's order, each from its own image",
        ),
        ...differences(
          "alone, an image gets another score than in a batch",
          first,
          alone,
          "let a score depend on its own image only",
        ),
        ...outsideRange(reward, first),
      ],
      warnings: warningsOf(reward, first),
    };
  } finally {
    await reward[Symbol.asyncDispose]();
  }
}

/** The report in words. */
export function describeCheck(check: RewardCheck): string {
  const { traits, msPerImage, problems, warnings } = check;
  const scores = Object.entries(check.scores).map(([id, score]) => `${id} ${score.toPrecision(5)}`);
  return [
    `${traits.name} (version ${traits.version}): ${traits.direction} is better, ${range(traits)}, lambda ${traits.suggestedLambda}`,
    `licence ${traits.license}; source ${traits.source}${check.provenance.sha256 ? `; sha256 ${check.provenance.sha256}` : ""}`,
    `scores of synthetic images: ${scores.join(", ")}`,
    `time per image: ${msPerImage.first.toFixed(1)} ms at first, ${msPerImage.later.toFixed(1)} ms later; charged ${quantity(traits.flops)} FLOPs`,
    ...warnings.map((warning) => `warning: ${warning}`),
    ...problems.map((problem) => `problem: ${problem}`),
    problems.length === 0 ? "ok: form, length, order, finiteness and determinism hold" : "not ok",
  ].join("\n");
}

type Scores = ReadonlyMap<string, number>;

async function scoreAfresh(reward: Reward, items: readonly RewardItem[], host: PluginHost): Promise<Scores> {
  const context: RewardContext = {
    signal: new AbortController().signal,
    stage: { kind: "final", index: 0, count: 1 },
    seed: 0,
    log: host.log,
  };
  // A new service each time, since it would answer from memory otherwise; the reward itself stays open.
  const { scores } = await createScoring(reward).score(items, context);
  return new Map(items.map((item, index) => [item.id, scores[index]!]));
}

function differences(what: string, a: Scores, b: Scores, remedy: string): string[] {
  for (const [id, score] of b) {
    const expected = a.get(id)!;
    if (Math.abs(score - expected) > 1e-6 * Math.max(1, Math.abs(expected))) {
      return [`${what}: ${id} ${expected}, then ${score}; ${remedy}`];
    }
  }
  return [];
}

function outsideRange({ range }: Reward, scores: Scores): string[] {
  const outside = range && [...scores].find(([, score]) => score < range[0] || score > range[1]);
  return outside
    ? [`${outside[0]} scores ${outside[1]}, outside the stated range [${range.join(", ")}]`]
    : [];
}

function warningsOf(reward: Reward, scores: Scores): string[] {
  const warnings = [];
  if (new Set(scores.values()).size === 1)
    warnings.push("all images score the same; a search could not tell them apart");
  if (reward.flops === 0) warnings.push("it states no FLOPs, so budgets count its scores as free");
  return warnings;
}

function range(traits: RewardTraits): string {
  return traits.range ? `range ${traits.range[0]} to ${traits.range[1]}` : "no stated range";
}

function traitsOf(reward: Reward): RewardTraits {
  const { name, version, direction, range, suggestedLambda, flops, license, source, modelId } = reward;
  const traits = { name, version, direction, range, suggestedLambda, flops, license, source };
  return modelId === undefined ? traits : { ...traits, modelId };
}
