import { TtsVarError } from "../../src/core/errors.ts";
import type { SearchSpace } from "../../src/core/strategy.ts";
import { mapToScales, resolvePlaces, scaledWidths } from "./schedule.ts";

/** The paper's batch schedule in units of N: candidates kept after each of Infinity's 13 scales. */
export const paperShape: readonly number[] = [8, 8, 6, 6, 6, 4, 2, 2, 2, 1, 1, 1, 1];
/** Its clustering and resampling scales (2, 5 and 6, 9 of 13) as places on any schedule. */
export const paperClusters: readonly number[] = [2 / 12, 5 / 12];
export const paperResamplings: readonly number[] = [6 / 12, 9 / 12];

export interface Decision {
  readonly rule: "cluster" | "resample";
  /** Candidates kept. */
  readonly width: number;
}

export interface TtsVarPlan {
  readonly start: number;
  readonly decisions: ReadonlyMap<number, Decision>;
}

export interface TtsVarWidths {
  readonly widths: readonly number[] | null;
  readonly shape: readonly number[];
  readonly clusterScales: readonly number[] | null;
  readonly resampleScales: readonly number[] | null;
}

/**
 * Widths and decisions of a run. A width list says how many candidates are *kept after* each scale; the scale itself is
 * computed for as many as were kept after the one before, since a cut can only follow the forward pass. So the paper's
 * 8 8 6 6 6 4 2 2 2 1 1 1 1 is executed as 8 8 8 6 6 6 4 2 2 2 1 1 1.
 *
 * @param multiplier the paper's N; any positive real number. Ignored with explicit widths.
 * @throws CONFIG_INVALID for widths that do not fit the schedule or that nobody cuts
 */
export function planTtsVar(space: SearchSpace, options: TtsVarWidths, multiplier: number): TtsVarPlan {
  const count = space.stages.length;
  const kept = options.widths ?? scaledWidths(mapToScales(options.shape, count), multiplier);
  if (kept.length !== count) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `widths has ${kept.length} values but this model has ${count} scales; give one per scale`,
    );
  }
  const { clusters, resamplings } = decisionScales(options, count);
  const decisions = new Map<number, Decision>();
  let width = kept[0]!;
  for (let scale = 0; scale < count; scale++) {
    const target = kept[scale]!;
    const rule = clusters.has(scale) ? "cluster" : resamplings.has(scale) ? "resample" : null;
    if (rule === null) {
      if (options.widths && target !== width) throw uncut(scale, width, target);
      continue;
    }
    if (rule === "cluster" && target > width) throw uncut(scale, width, target);
    // One candidate leaves no choice, and clustering n into n keeps everyone.
    const idle = rule === "cluster" ? target === width : width === 1 && target === 1;
    if (!idle) decisions.set(scale, { rule, width: target });
    width = target;
  }
  return { start: kept[0]!, decisions };
}

function decisionScales(
  options: TtsVarWidths,
  count: number,
): { clusters: Set<number>; resamplings: Set<number> } {
  const { widths, clusterScales, resampleScales } = options;
  if (widths && !clusterScales && !resampleScales) {
    const cuts = widths.flatMap((width, scale) => (scale > 0 && width !== widths[scale - 1] ? [scale] : []));
    const coarse = (scale: number): boolean => scale / (count - 1) < (5 / 12 + 6 / 12) / 2;
    return {
      clusters: new Set(cuts.filter(coarse)),
      resamplings: new Set(cuts.filter((scale) => !coarse(scale))),
    };
  }
  const both = [...(clusterScales ?? paperClusters), ...(resampleScales ?? paperResamplings)];
  const clusters = resolvePlaces(clusterScales ?? paperClusters, count, count - 2, "clusterScales");
  const all = resolvePlaces(both, count, count - 2, "resampleScales");
  const shared = (clusterScales ?? []).filter(
    (place) => Number.isInteger(place) && resampleScales?.includes(place),
  );
  if (shared.length > 0) {
    throw new TtsVarError(
      "CONFIG_INVALID",
      `scale ${shared.join(", ")} is in both clusterScales and resampleScales; one rule per scale`,
    );
  }
  // Resolving both lists together keeps fractions that round to the same scale apart.
  const resamplings = all.filter((scale) => !clusters.includes(scale));
  return {
    clusters: new Set(clusters),
    resamplings: new Set(resamplings),
  };
}

function uncut(scale: number, from: number, to: number): TtsVarError {
  return new TtsVarError(
    "CONFIG_INVALID",
    `widths changes from ${from} to ${to} after scale ${scale}, but ${to > from ? "only resampling can add candidates" : "no cluster or resample scale is there to cut"}; ` +
      "list the scale in clusterScales or resampleScales, or leave both lists out",
  );
}
