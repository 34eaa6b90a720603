import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SearchInput } from "../../../src/engine/run-search.ts";
import { calibration, searchInput } from "./search-run.ts";

/** Folder of the committed traces; `scripts/update-golden.ts` rewrites them. */
export const goldenDir = fileURLToPath(new URL("../../fixtures/traces/", import.meta.url));

interface GoldenCase {
  readonly strategy: string;
  readonly units: number;
  readonly options?: Record<string, unknown>;
  readonly calibrated?: boolean;
}

const cases: Readonly<Record<string, GoldenCase>> = {
  "best-of-n-4": { strategy: "best-of-n", units: 4 },
  "tts-var-8": { strategy: "tts-var", units: 8 },
  "tts-var-diff-all-5": {
    strategy: "tts-var",
    units: 5,
    options: { potential: "diff", history: "all", targetEss: 0.5, resampling: "systematic" },
  },
  "tts-var-released-6": { strategy: "tts-var-released", units: 6 },
  "beam-6": { strategy: "beam", units: 6 },
  "fk-steering-8": { strategy: "fk-steering", units: 8 },
  "halving-calibrated-4": { strategy: "halving", units: 4, calibrated: true },
  "quality-diversity-6": { strategy: "quality-diversity", units: 6 },
  "cascade-6": { strategy: "cascade", units: 6 },
  "importance-sampling-4": { strategy: "importance-sampling", units: 4 },
  "spread-5": { strategy: "spread", units: 5 },
  "tts-var-tokens-5": { strategy: "tts-var", units: 5, options: { clusterBy: "tokens" } },
  "calibrated-stop-8": {
    strategy: "calibrated-stop",
    units: 8,
    calibrated: true,
    options: { price: 0.2 },
  },
  "calibrated-stop-fresh-8": {
    strategy: "calibrated-stop",
    units: 8,
    calibrated: true,
    options: { price: 0.2, pool: 1 },
  },
  "restart-5": { strategy: "restart", units: 5, options: { threshold: 2.5 } },
};

export const goldenNames: readonly string[] = Object.keys(cases);

export function goldenPath(name: string): string {
  return join(goldenDir, `${name}.jsonl`);
}

/** The search whose trace the golden file of that name records. */
export async function goldenInput(name: string): Promise<SearchInput> {
  const { strategy, units, options = {}, calibrated = false } = cases[name]!;
  return searchInput(strategy, units, {
    options,
    calibration: calibrated ? calibration : null,
    task: { prompt: "a red cup", seed: 20250724 },
  });
}
