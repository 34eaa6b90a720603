import { TtsVarError } from "../core/errors.ts";
import type { ResultRow } from "./results.ts";

/** How a table must be called, and what its reader must be told. */
export interface Provenance {
  /** The benchmark's title for files of its official judge, otherwise "TITLE-protocol (judge=NAME@sha8)". */
  readonly label: string;
  readonly judge: string | null;
  readonly warnings: readonly string[];
}

/**
 * Names the protocol honestly: only the official judge gives the benchmark's score, and a reward that shares the judge's
 * weights makes the benchmark its own oracle.
 *
 * @throws EVAL_DATA when rows of different judges are mixed
 */
export function provenanceOf(rows: readonly ResultRow[], title: string): Provenance {
  const judges = [...new Set(rows.map((row) => row.judge ?? null))];
  if (judges.length > 1) {
    throw new TtsVarError(
      "EVAL_DATA",
      `the results mix verdicts of ${judges.map((name) => name ?? "the official judge").join(" and ")}; judge all images anew with one of them`,
    );
  }
  const judge = judges[0] ?? null;
  const rewards = new Set(rows.map((row) => row.rewardModel).filter((model) => model !== undefined));
  const warnings = [...rewards]
    .filter((model) => judge !== null && sharesModel(model, judge))
    .map((model) => `reward shares the judge's model (${model}): these figures are an oracle's, not a test`);
  return { label: judge === null ? title : `${title}-protocol (judge=${judge})`, judge, warnings };
}

/**
 * Whether a reward's model (a mixture lists several, joined by "+") has the weights of the judge's detector or of the
 * model that names its colours.
 */
export function sharesModel(rewardModel: string, judge: string): boolean {
  const digest = (id: string): string => id.split("@").at(-1)!.slice(0, 8);
  const [detector, ...notes] = judge.split(", ");
  const judges = [detector!, ...notes.filter((note) => note.startsWith("colors="))].map(digest);
  return rewardModel.split("+").some((id) => judges.includes(digest(id)));
}
