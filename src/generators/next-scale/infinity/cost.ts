import type { GeneratorCost } from "../../../core/generator.ts";
import type { SamplingSettings } from "../settings.ts";
import { type InfinityManifest, latentGrid, type Schedule } from "./manifest.ts";

/**
 * FLOPs of a stage for one row (one candidate, one guidance branch), 2 per multiply-accumulate; norms, softmax and
 * other elementwise work are left out. Terms: projections and feed-forward, self-attention over past and new tokens,
 * cross-attention to the text, word embedding and (folded) head.
 *
 * @param tokens new tokens of the stage
 * @param past   tokens of earlier stages
 */
export function rowFlops(
  architecture: InfinityManifest["architecture"],
  tokens: number,
  past: number,
  textTokens: number,
): number {
  const { depth, embedDim: width, ffnHidden, tokenChannels } = architecture;
  const linear = 2 * depth * tokens * (6 * width ** 2 + 2 * width * ffnHidden);
  const self = 4 * depth * tokens * (past + tokens) * width;
  const cross = 4 * depth * tokens * textTokens * width;
  return linear + self + cross + 4 * tokens * width * tokenChannels;
}

/**
 * Costs of a schedule from the manifest alone: its own table where the exporter wrote one.
 *
 * @param budgets tokens that each layer keeps at most, where the cache is cut; choosing them is left out, as all that is
 *                no product of a graph
 */
export function infinityCost(
  manifest: InfinityManifest,
  schedule: Schedule,
  { guidanceUntil }: Pick<SamplingSettings, "guidanceUntil">,
  budgets: readonly number[] = [],
): GeneratorCost {
  const lengths = schedule.scales.map(([h, w]) => h * w);
  const { flops, architecture } = manifest;
  const stages = lengths.map((tokens, stage) => {
    const guided = stage < guidanceUntil;
    const past = lengths.slice(0, stage).reduce((sum, length) => sum + length, 0);
    // Attention to what was dropped.
    const dropped = budgets.reduce((sum, budget) => sum + Math.max(0, past - budget), 0);
    const spared = 4 * tokens * dropped * architecture.embedDim * (guided ? 2 : 1);
    const known = schedule.stageFlops?.[stage];
    if (known) return (guided ? known.guided : known.unguided) - spared;
    return rowFlops(architecture, tokens, past, flops.nominalTokens) * (guided ? 2 : 1) - spared;
  });
  const { h, w } = latentGrid(manifest, schedule);
  return {
    prompt: flops.text + flops.condition,
    stages,
    shared: 1,
    views: { now: flops.decodePerLatentCell * h * w },
    ...(manifest.graphs.vae_draft ? { drafts: { now: flops.draftPerLatentCell! * h * w } } : {}),
  };
}
