import { totalmem } from "node:os";
import { TtsVarError } from "../../core/errors.ts";
import type { InfinityManifest, Schedule } from "./manifest.ts";

const FLOAT_BYTES = 4;

/**
 * Estimate of the peak memory of a stage beyond weights, in bytes: cached keys and values, their assembled copy, the new
 * ones, attention scores, and the widest activations of one layer.
 *
 * @param width  candidates
 * @param groups 2 with guidance, 1 without
 */
export function stageBytes(
  manifest: Pick<InfinityManifest, "architecture">,
  schedule: Pick<Schedule, "scales">,
  stage: number,
  width: number,
  groups: number,
): number {
  const { depth, embedDim, heads, ffnHidden } = manifest.architecture;
  const lengths = schedule.scales.map(([h, w]) => h * w);
  const past = lengths.slice(0, stage).reduce((sum, length) => sum + length, 0);
  const tokens = lengths[stage] ?? 0;
  const cached = 2 * (2 * depth * embedDim * past);
  // The keys and values of the last scale are never kept.
  const fresh = stage < lengths.length - 1 ? 2 * depth * embedDim * tokens : 0;
  const layer = tokens * (4 * embedDim + ffnHidden) + 2 * embedDim * (past + tokens);
  const scores = 2 * heads * tokens * (past + tokens);
  return FLOAT_BYTES * width * groups * (cached + fresh + layer + scores);
}

/**
 * Refuses a stage that cannot fit, before the operating system ends the process without a word.
 *
 * @throws TtsVarError MODEL_RUNTIME with the estimate and what would help
 */
export function checkMemory(needed: number, stage: number, width: number, available = totalmem()): void {
  if (needed <= available) return;
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new TtsVarError(
    "MODEL_RUNTIME",
    `scale ${stage} of ${width} candidates needs about ${gib(needed)}, but this machine has ${gib(available)}; ` +
      "narrow the schedule at this scale (--widths) or end guidance earlier (sampling.guidanceUntil)",
    { details: { stage, width, needed, available } },
  );
}
