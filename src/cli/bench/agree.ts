import { TtsVarError } from "../../core/errors.ts";
import { type Agreement, compareJudges, type JudgesCompared } from "../../eval/agreement.ts";
import { openResults } from "../geneval/summarize.ts";
import { printJson, printResult, table } from "../output.ts";

export interface AgreeFlags {
  readonly allowPartial?: boolean;
  readonly list: string;
  readonly json?: boolean;
}

/** `bench agree A B`: two judges on the same images, side by side. */
export async function agreePaths(pathA: string, pathB: string, flags: AgreeFlags): Promise<void> {
  const shown = Number(flags.list);
  if (!/^\d+$/.test(flags.list)) {
    throw new TtsVarError("USAGE", `--list ${flags.list}: must be a number of images`);
  }
  const compared = compareJudges((await openResults(pathA)).rows, (await openResults(pathB)).rows);
  if (compared.unpaired > 0 && !flags.allowPartial) {
    throw new TtsVarError(
      "EVAL_PARTIAL",
      `${compared.unpaired} images have one verdict only; judge the whole folder with both, or pass --allow-partial`,
    );
  }
  if (flags.json) printJson({ schemaVersion: 1, ...compared });
  else printResult(describe(compared, shown));
}

function describe({ a, b, images, questions, differing }: JudgesCompared, shown: number): string {
  const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)}%`;
  const columns = (rows: readonly Agreement[], title: string): string =>
    table(rows, [
      { title, cell: ({ name }) => name },
      { title: "n", align: "right", cell: ({ count }) => String(count) },
      { title: "A yes", align: "right", cell: (row) => percent(row.both + row.onlyA, row.count) },
      { title: "B yes", align: "right", cell: (row) => percent(row.both + row.onlyB, row.count) },
      { title: "only A : only B", align: "right", cell: (row) => `${row.onlyA} : ${row.onlyB}` },
      { title: "differ", align: "right", cell: (row) => percent(row.onlyA + row.onlyB, row.count) },
      { title: "kappa", align: "right", cell: ({ kappa }) => kappa?.toFixed(2) ?? "" },
    ]);
  const listed = differing
    .slice(0, shown)
    .map((row) => `  ${row.filename}  ${row.prompt}\n    A: ${line(row.a)}\n    B: ${line(row.b)}`);
  return [
    `A: ${a}`,
    `B: ${b}`,
    "Side by side, never averaged: where they differ, somebody has to look.",
    "",
    columns(images, "images"),
    ...(questions.length > 0 ? ["", columns(questions, "questions")] : []),
    "",
    `Images on which they differ: ${differing.length}`,
    ...listed,
    ...(differing.length > shown && shown > 0 ? [`  and ${differing.length - shown} more (--list N)`] : []),
  ].join("\n");
}

function line(reason: string): string {
  return reason.replaceAll("\n", "; ");
}
