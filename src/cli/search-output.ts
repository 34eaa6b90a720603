import { join, relative } from "node:path";
import { likely } from "../core/atoms.ts";
import type { Atom } from "../core/benchmark.ts";
import type { CandidateSummary, SearchSummary } from "../run/summary.ts";
import { figure, quantity, table } from "./output.ts";

/** The summary for people, with what else there is to look at in the run folder. Paths are relative to the working directory. */
export function describeSearch(summary: SearchSummary, pages: readonly string[]): string {
  const here = (path: string): string => relative(process.cwd(), path) || ".";
  const { flops, spent, limit } = summary.budget;
  const shares = Object.entries(flops.byKind)
    .filter(([, value]) => value > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, value]) => `${kind} ${((100 * value) / flops.total).toFixed(1)} %`);
  const explained = summary.candidates.some(({ verdict }) => verdict);
  const ranked = [...summary.candidates].sort((a, b) => closeness(summary, b) - closeness(summary, a));
  return [
    ...(summary.drawn === undefined ? [] : [`drawn  ${JSON.stringify(summary.drawn)}`]),
    `best   ${here(summary.best.image)}`,
    ...pages.map((name) => `${name.split(".")[0]!.padEnd(6)} ${here(join(summary.runDir, name))}`),
    ...(summary.grid === undefined
      ? []
      : [
          `best-${summary.bestK!.length}  ${here(summary.grid)}: ${summary.bestK!.map(({ id }) => id).join(", ")}`,
        ]),
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

/** A row for each prompt of many. */
export function describePrompts(
  rows: readonly { summary: SearchSummary; kept: boolean }[],
  out: string,
): string {
  const here = (path: string): string => relative(process.cwd(), path) || ".";
  const total = (of: (row: (typeof rows)[number]) => number): number =>
    rows.reduce((sum, row) => sum + of(row), 0);
  const made = rows.filter(({ kept }) => !kept);
  return [
    table(rows, [
      { title: "prompt", cell: ({ summary }) => shorten(summary.prompt, 48) },
      {
        title: rows[0]?.summary.reward ?? "score",
        align: "right",
        cell: ({ summary }) => figure(summary.best.score),
      },
      { title: "units", align: "right", cell: ({ summary }) => summary.budget.spent.toFixed(2) },
      { title: "image", cell: ({ summary }) => here(summary.best.image) },
    ]),
    "",
    `${rows.length} prompts, ${rows.length - made.length} of them kept from earlier; mean score ` +
      `${figure(total(({ summary }) => summary.best.score) / rows.length)}; spent ` +
      `${made.reduce((sum, { summary }) => sum + summary.budget.spent, 0).toFixed(2)} units now; all in ${here(out)}`,
  ].join("\n");
}

function shorten(prompt: string, length: number): string {
  const line = prompt.replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length - 3)}...` : line;
}

/** Higher for candidates nearer to the answer, which comes first whatever the reward's direction. */
function closeness({ best }: SearchSummary, { id, score }: CandidateSummary): number {
  return id === best.id ? Number.POSITIVE_INFINITY : -Math.abs(best.score - score);
}
