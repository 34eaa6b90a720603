import type { Atom } from "./benchmark.ts";
import { TtsVarError } from "./errors.ts";

/** Whether an answer counts as the expected one. */
export function likely(p: number): boolean {
  return p >= 0.5;
}

/**
 * Probabilities by the graph of questions: an atom counts nothing if one that it depends on does not hold (DSG,
 * DPG-Bench: the colour of a dog that is not there).
 *
 * @throws EVAL_DATA without questions, or for an answer that is no probability; INTERNAL for an atom that depends on
 *   itself or on one that does not exist
 */
export function dependent(atoms: readonly Atom[]): number[] {
  if (atoms.length === 0) throw new TtsVarError("EVAL_DATA", "a verdict without questions tells nothing");
  const bad = atoms.find(({ p }) => !(p >= 0 && p <= 1));
  if (bad)
    throw new TtsVarError("EVAL_DATA", `"${bad.question}" is answered with ${bad.p}, not a probability`);
  const known: (number | "open" | undefined)[] = [];
  const resolve = (at: number): number => {
    const before = known[at];
    const atom = atoms[at];
    if (atom === undefined || before === "open") {
      throw new TtsVarError("INTERNAL", `atom ${at} of ${atoms.length} is missing or depends on itself`);
    }
    if (before !== undefined) return before;
    known[at] = "open";
    const holds = atom.parent.every((parent) => likely(resolve(parent)));
    const p = holds ? atom.p : 0;
    known[at] = p;
    return p;
  };
  return atoms.map((_, at) => resolve(at));
}

/** 1 if every answer is the expected one, otherwise 0: GenEval's rule, GenEval 2's prompt accuracy. */
export function allOf(atoms: readonly Atom[]): number {
  return Number(dependent(atoms).every(likely));
}

/** Share of the questions that hold, by the graph: DPG-Bench; Soft-TIFA's AM where no atom depends on another. */
export function arithmeticMean(atoms: readonly Atom[]): number {
  return dependent(atoms).reduce((sum, p) => sum + p, 0) / atoms.length;
}

/** Soft-TIFA's GM: near 0 as soon as one question fails. */
export function geometricMean(atoms: readonly Atom[]): number {
  const logs = dependent(atoms).reduce((sum, p) => sum + Math.log(p), 0);
  return Math.exp(logs / atoms.length);
}

/** Mean probability by skill, over the atoms of any number of images. */
export function bySkill(
  images: readonly (readonly Atom[])[],
): ReadonlyMap<string, { atoms: number; mean: number }> {
  const sums = new Map<string, { atoms: number; sum: number }>();
  for (const atoms of images) {
    const ps = dependent(atoms);
    atoms.forEach(({ skill }, at) => {
      const before = sums.get(skill) ?? { atoms: 0, sum: 0 };
      sums.set(skill, { atoms: before.atoms + 1, sum: before.sum + ps[at]! });
    });
  }
  return new Map([...sums].map(([skill, { atoms, sum }]) => [skill, { atoms, mean: sum / atoms }]));
}
