import { TtsVarError } from "../core/errors.ts";
import { isStdout } from "../io/output-target.ts";
import { printable } from "./printable.ts";

/** The only writers to the two streams: results to stdout, everything else to stderr. */
export function printResult(text: string): void {
  const shown = printable(text);
  process.stdout.write(shown.endsWith("\n") ? shown : `${shown}\n`);
}

/** JSON has the same escapes as `printable`, so that the value stays what it is. */
export function printJson(value: unknown): void {
  printResult(JSON.stringify(value, null, 2));
}

/** A line about a file that was written; on stderr if stdout is that file. */
export function printWritten(out: string, text: string): void {
  if (isStdout(out)) printNote(text);
  else printResult(text);
}

export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

export interface Column<Row> {
  readonly title: string;
  readonly align?: "left" | "right";
  readonly cell: (row: Row) => string;
}

/** Plain aligned columns, two spaces apart. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ cell }) => cell(row))),
  ];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]!.length)));
  const lines = cells.map((line) =>
    line
      .map((cell, index) =>
        columns[index]!.align === "right" ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
      )
      .join("  ")
      .trimEnd(),
  );
  return lines.join("\n");
}

/** 1.23e9 -> "1.23 G"; for FLOPs. */
export function quantity(value: number): string {
  const steps: [number, string][] = [
    [1e15, "P"],
    [1e12, "T"],
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const [step, prefix] = steps.find(([size]) => Math.abs(value) >= size) ?? [1, ""];
  return `${(value / step).toPrecision(3)}${prefix === "" ? "" : ` ${prefix}`}`;
}

/** A score with as many digits as are worth reading. */
export function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(4);
}

/** An error as `--json` prints it. */
export function errorObject(error: unknown): Record<string, unknown> {
  const coded = error instanceof TtsVarError;
  return {
    schemaVersion: 1,
    error: {
      code: coded ? error.code : "INTERNAL",
      message: error instanceof Error ? error.message : String(error),
      details: coded ? error.details : {},
    },
  };
}
