import { gibibytes, type MemoryPlan } from "../engine/memory-plan.ts";

/** The memory of a plan in words, with the scales that have to be split. */
export function describeMemory({ peak, limit, rowsAtOnce, split }: MemoryPlan): string {
  const blocks = split.map((scale) => `${scale} by ${rowsAtOnce[scale]}`).join(", ");
  const note = blocks === "" ? "" : `; scales in blocks of candidates: ${blocks}`;
  return `memory at most ${gibibytes(peak)} of ${gibibytes(limit)}${note}`;
}
