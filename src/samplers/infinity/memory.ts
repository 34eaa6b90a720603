import type { InfinityManifest, Schedule } from "./manifest.ts";

const FLOAT_BYTES = 4;

/**
 * Estimate of the peak memory of a stage beyond weights, in bytes: cached keys and values, their assembled copy,
 * attention scores and the widest activations of one layer.
 *
 * @param width  candidates
 * @param groups 2 with guidance, 1 without
 */
export function stageBytes(
  manifest: InfinityManifest,
  schedule: Schedule,
  stage: number,
  width: number,
  groups: number,
): number {
  const { depth, embedDim, heads, ffnHidden } = manifest.architecture;
  const lengths = schedule.scales.map(([h, w]) => h * w);
  const past = lengths.slice(0, stage).reduce((sum, length) => sum + length, 0);
  const tokens = lengths[stage] ?? 0;
  const cached = 2 * 2 * depth * embedDim * past;
  // The keys and values of the last scale are never kept.
  const fresh = stage < lengths.length - 1 ? 2 * depth * embedDim * tokens : 0;
  const layer = tokens * (4 * embedDim + ffnHidden) + 2 * embedDim * (past + tokens);
  const scores = 2 * heads * tokens * (past + tokens);
  return FLOAT_BYTES * width * groups * (cached + fresh + layer + scores);
}

/**
 * Peak over all stages for given widths.
 *
 * @param widths candidates by stage
 */
export function peakBytes(manifest: InfinityManifest, schedule: Schedule, widths: readonly number[]): number {
  return Math.max(
    ...schedule.scales.map((_, stage) => stageBytes(manifest, schedule, stage, widths[stage] ?? 0, 2)),
  );
}
