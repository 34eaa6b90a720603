import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { withoutMark } from "../../io/jsonl.ts";

/** A row of a user's file, and where it stands. */
export interface SourceRow<Row> {
  readonly row: Row;
  /** File and line, for messages. */
  readonly where: string;
  /** Number of the row in its file, from 0. */
  readonly at: number;
}

/** The file itself, or the files of a folder that end with `ending`, sorted. @throws EVAL_DATA */
export async function filesOf(source: string, ending: string): Promise<string[]> {
  const entry = await stat(source).catch(() => null);
  if (entry === null) throw new TtsVarError("EVAL_DATA", `there are no prompts at ${source}`);
  if (!entry.isDirectory()) return [source];
  const names = (await readdir(source)).filter((name) => name.endsWith(ending) && !name.startsWith("."));
  if (names.length === 0) throw new TtsVarError("EVAL_DATA", `${source} holds no ${ending} file`);
  return names.sort().map((name) => join(source, name));
}

export async function readText(path: string): Promise<string> {
  return withoutMark(
    await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      throw new TtsVarError("EVAL_DATA", `cannot read the prompts ${path} (${error.code ?? error.message})`, {
        cause: error,
      });
    }),
  );
}

/** Rows of JSON lines, checked. @throws EVAL_DATA naming file and line */
export async function readJsonRows<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  what: string,
): Promise<SourceRow<z.output<Schema>>[]> {
  const lines = (await readText(path)).split(/\r?\n/);
  const rows = lines.flatMap((line, at) => {
    if (line.trim() === "") return [];
    const where = `${path}:${at + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new TtsVarError("EVAL_DATA", `${where}: not JSON (${(error as Error).message})`);
    }
    return [{ value, where }];
  });
  if (rows.length === 0) throw new TtsVarError("EVAL_DATA", `${path} holds no rows of ${what}`);
  return rows.map(({ value, where }, at) => ({ row: checked(schema, value, where, what), where, at }));
}

/** Rows of a CSV file (RFC 4180) under its header's names, checked. @throws EVAL_DATA */
export async function readCsvRows<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  what: string,
): Promise<SourceRow<z.output<Schema>>[]> {
  const [header = [], ...records] = parseCsv(await readText(path));
  if (records.length === 0) throw new TtsVarError("EVAL_DATA", `${path} holds no rows of ${what}`);
  return records.map((cells, at) => {
    const value = Object.fromEntries(header.map((name, column) => [name.trim(), cells[column] ?? ""]));
    const where = `${path}, row ${at + 1}`;
    return { row: checked(schema, value, where, what), where, at };
  });
}

/** @throws EVAL_DATA naming the first wrong field */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: string,
  what: string,
): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  const field = path.length > 0 ? `${path.join(".")}: ` : "";
  throw new TtsVarError("EVAL_DATA", `${where}: no row of ${what}; ${field}${message}`);
}

/** Prompts that name files must each name one. @throws EVAL_DATA */
export function expectDistinct(names: readonly string[], where: readonly string[], what: string): void {
  const first = new Map<string, number>();
  names.forEach((name, at) => {
    const before = first.get(name);
    if (before !== undefined) {
      throw new TtsVarError("EVAL_DATA", `${where[at]}: the same ${what} as ${where[before]}: ${name}`);
    }
    first.set(name, at);
  });
}

/** The name of a file without folder and ending. */
export function stemOf(path: string): string {
  return basename(path).replace(/\.[^.]+$/, "");
}

/** Records of a CSV text; quoted cells may hold commas, line breaks and doubled quotes. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let cell = "";
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') {
        cell += '"';
        at++;
      } else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === ",") {
      record.push(cell);
      cell = "";
    } else if (char === "\n") {
      records.push([...record, cell]);
      [record, cell] = [[], ""];
    } else if (char !== "\r") cell += char;
  }
  if (cell !== "" || record.length > 0) records.push([...record, cell]);
  return records.filter((cells) => cells.some((each) => each !== ""));
}
