import { join } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import type { EvaluationRecord } from "../../eval/evaluation-record.ts";
import { layout } from "../../eval/layout.ts";
import { readJsonl } from "../../io/jsonl.ts";

const allocationRow = z.looseObject({
  promptIndex: z.int(),
  prompt: z.string(),
  rounds: z.number(),
  units: z.number(),
  flops: z.number(),
});

/** What the images of a prompt got of an adaptive evaluation's total. */
export interface PromptShare {
  readonly promptIndex: number;
  readonly prompt: string;
  readonly rounds: number;
  readonly units: number;
  readonly flops: number;
}

export interface AllocationReport {
  /** `allocation.jsonl`, which lists every image and why it ended. */
  readonly file: string;
  readonly units: { readonly total: number; readonly spent: number };
  readonly prompts: readonly PromptShare[];
}

/** Who got what; null unless the evaluation was adaptive. @throws EVAL_DATA without a readable allocation */
export async function readAllocation(
  dir: string,
  { adaptive }: Pick<EvaluationRecord, "adaptive">,
): Promise<AllocationReport | null> {
  if (adaptive === null) return null;
  const file = join(dir, layout.allocation);
  const parsed = z.array(allocationRow).safeParse((await readJsonl(file)).rows);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new TtsVarError("EVAL_DATA", `${file} is damaged (${path.join(".")}: ${message})`);
  }
  const shares = new Map<number, PromptShare>();
  for (const { promptIndex, prompt, rounds, units, flops } of parsed.data) {
    const before = shares.get(promptIndex) ?? { rounds: 0, units: 0, flops: 0 };
    shares.set(promptIndex, {
      promptIndex,
      prompt,
      rounds: before.rounds + rounds,
      units: before.units + units,
      flops: before.flops + flops,
    });
  }
  const prompts = [...shares.values()];
  const spent = prompts.reduce((sum, { units }) => sum + units, 0);
  return { file, units: { total: adaptive.totalUnits, spent }, prompts };
}

/** Two lines: the total, and how many prompts got how much. */
export function describeAllocation({ file, units, prompts }: AllocationReport): string {
  const byUnits = new Map<number, number>();
  for (const share of prompts) byUnits.set(share.units, (byUnits.get(share.units) ?? 0) + 1);
  const groups = [...byUnits]
    .sort(([a], [b]) => a - b)
    .map(([each, count]) => `${each} to ${count} prompt${count === 1 ? "" : "s"}`);
  return [
    `Adaptive budget: ${units.spent} of ${units.total} units spent, every image listed in ${file}`,
    `  units: ${groups.join(", ")}`,
  ].join("\n");
}
