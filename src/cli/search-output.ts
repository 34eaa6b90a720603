import { join, relative } from "node:path";
import { likely } from "../core/atoms.ts";
import type { Atom } from "../core/benchmark.ts";
import type { CandidateSummary, SearchSummary } from "../run/write-results.ts";
import { figure, quantity, table } from "./output.ts";

/** The summary for people. Paths are relative to the working directory. */
export function describeSearch(summary: SearchSummary, sheet: boolean): string {
  const here = (path: string): string => relative(process.cwd(), path) || ".";
  const { flops, spent, limit } = summary.budget;
  const shares = Object.entries(flops.byKind)
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, value]) => `${kind} ${((100 * value) / flops.total).toFixed(1)} %`);
  const explained = summary.candidates.some(({ verdict }) => verdict);
  const ranked = [...summary.candidates].sort((a, b) => closeness(summary, b) - closeness(summary, a));
  return [
    `best   ${here(summary.best.image)}`,
    ...(sheet ? [`sheet  ${here(join(summary.runDir, "sheet.png"))}`] : []),
    `score  ${figure(summary.best.score)} (${summary.reward})`,
    `spent  ${spent.toFixed(2)} of ${limit} units, ${quantity(flops.total)}FLOPs: ${shares.join(", ")}`,
    ...(summary.best.verdict?.atoms ?? []).map(atomLine),
    "",
    table(ranked, [
      { title: "candidate", cell: (row) => `${row.id}${row.id === summary.best.id ? " *" : ""}` },
      { title: "copy of", cell: (row) => row.parent ?? "" },
      { title: summary.reward, align: "right", cell: (row) => figure(row.score) },
      { title: "image", cell: (row) => here(row.image) },
      ...(explained ? [{ title: "why not", cell: whyNot }] : []),
    ]),
  ].join("\n");
}

/** "  yes  1.00  How many dog? at least 1". */
function atomLine({ question, expected, p }: Atom): string {
  return `       ${likely(p) ? "yes" : "no "}  ${p.toFixed(2)}  ${question} ${expected}`;
}

function whyNot({ verdict }: CandidateSummary): string {
  return verdict?.reason.replaceAll("\n", "; ") ?? "";
}

/** Higher for candidates nearer to the answer, which comes first whatever the reward's direction. */
function closeness({ best }: SearchSummary, { id, score }: CandidateSummary): number {
  return id === best.id ? Number.POSITIVE_INFINITY : -Math.abs(best.score - score);
}
