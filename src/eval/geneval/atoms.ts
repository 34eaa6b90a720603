import type { Atom } from "../../core/benchmark.ts";
import type { ClauseOutcome, GenevalMetadata } from "./rules.ts";

/**
 * GenEval's verdict as questions: of every clause the number of objects, then their colour, then their place, each of no
 * meaning without what it is about. All of them hold exactly when the image is right.
 */
export function atomsOf(metadata: GenevalMetadata, clauses: readonly ClauseOutcome[]): Atom[] {
  const atoms: Atom[] = [];
  /** The last atom of each include clause: all of the clause holds if it does. */
  const lasts: number[] = [];
  clauses.forEach((clause, at) => {
    const { class: name } = clause;
    if (clause.kind === "exclude") {
      const { limit, matched } = clause;
      atoms.push(atom(`How many ${name}?`, `fewer than ${limit}`, matched, "count", []));
      return;
    }
    const { color, position, count } = metadata.include![at]!;
    const skill = count > 1 ? "count" : "object";
    let last =
      atoms.push(atom(`How many ${name}?`, `at least ${count}`, clause.found >= count, skill, [])) - 1;
    if (color !== undefined) {
      const holds = clause.colored !== null && clause.colored >= count;
      last = atoms.push(atom(`What color is the ${name}?`, color, holds, "color", [last])) - 1;
    }
    if (position !== undefined) {
      const [relation, reference] = position;
      const holds = clause.related !== null && clause.related.held === clause.related.pairs;
      const question = `Where is the ${name} from the ${metadata.include![reference]!.class}?`;
      last = atoms.push(atom(question, relation, holds, "position", [last, lasts[reference]!])) - 1;
    }
    lasts.push(last);
  });
  return atoms;
}

function atom(question: string, expected: string, holds: boolean, skill: string, parent: number[]): Atom {
  return { question, expected, p: Number(holds), skill, parent };
}
