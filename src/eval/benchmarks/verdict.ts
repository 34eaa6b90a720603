import { likely } from "../../core/atoms.ts";
import type { Atom, ImageVerdict } from "../../core/benchmark.ts";

/** A verdict that follows from its atoms alone: right if all answers are the expected ones. */
export function verdictOf(atoms: readonly Atom[], details: unknown): ImageVerdict {
  const failed = atoms.filter(({ p }) => !likely(p));
  return {
    correct: failed.length === 0,
    reason: failed
      .map(({ question, expected, p }) => `${question} ${expected}: ${Number(p.toFixed(3))}`)
      .join("\n"),
    atoms,
    details,
  };
}
