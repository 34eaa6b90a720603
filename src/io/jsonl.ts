import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { makeFolder, outputError } from "./atomic.ts";

export interface JsonlContent<Row = unknown> {
  readonly rows: Row[];
  /** True if the last line was cut off (the writer was killed); the rows before it are complete. */
  readonly tornTail: boolean;
}

/**
 * Reads a JSON-lines file. A torn last line is left out and reported; a bad line elsewhere means a damaged file.
 *
 * @throws TtsVarError EVAL_DATA with file and line number
 */
export async function readJsonl<Row = unknown>(path: string): Promise<JsonlContent<Row>> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read ${path} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  const lines = withoutMark(text).split("\n");
  const last = lines.length - 1;
  const rows: Row[] = [];
  let tornTail = false;
  lines.forEach((line, index) => {
    if (line === "") return;
    try {
      rows.push(JSON.parse(line) as Row);
    } catch (error) {
      if (index !== last) {
        throw new TtsVarError("EVAL_DATA", `${path}:${index + 1}: not a JSON line; the file is damaged`, {
          cause: error,
        });
      }
      tornTail = true;
    }
  });
  return { rows, tornTail };
}

/** Text without the byte order mark that some editors put at the start of files. */
export function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

/**
 * Appends rows to a JSON-lines file, one system call per row, so that an interrupted program loses at most its last
 * line. A row that does not fit on the disk is taken back: the file always ends with a whole line.
 */
export class JsonlWriter implements Disposable {
  readonly path: string;
  #descriptor: number | null;

  /**
   * Opens for appending; creates the file and its folder. A torn tail of an earlier writer is cut off.
   *
   * @param only "new": the file must not exist yet
   */
  constructor(path: string, only?: "new") {
    this.path = path;
    try {
      makeFolder(dirname(path));
      this.#descriptor = openSync(path, only === "new" ? "ax+" : "a+");
      cutTornTail(this.#descriptor);
    } catch (error) {
      throw outputError(error, path);
    }
  }

  write(row: unknown): void {
    if (this.#descriptor === null) throw new Error(`${this.path} is closed`);
    const bytes = Buffer.from(`${JSON.stringify(row)}\n`);
    const before = fstatSync(this.#descriptor).size;
    try {
      let written = 0;
      while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
    } catch (error) {
      takeBack(this.#descriptor, before);
      throw outputError(error, this.path);
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Best effort: the reason why the write failed is worth more than a second error. */
function takeBack(descriptor: number, size: number): void {
  try {
    ftruncateSync(descriptor, size);
  } catch {
    // Devices and pipes cannot be shortened; readers tolerate a torn last line.
  }
}

/** Shortens the file to its last whole line. */
function cutTornTail(descriptor: number): void {
  const size = fstatSync(descriptor).size;
  const block = Buffer.alloc(64 * 1024);
  for (let end = size; end > 0; end -= block.length) {
    const start = Math.max(0, end - block.length);
    const read = readSync(descriptor, block, 0, end - start, start);
    const newline = block.subarray(0, read).lastIndexOf(10);
    if (newline < 0) continue;
    if (start + newline + 1 < size) ftruncateSync(descriptor, start + newline + 1);
    return;
  }
  if (size > 0) ftruncateSync(descriptor, 0);
}

/** Appends rows and closes the file again. For many rows over time keep a `JsonlWriter`. */
export function appendJsonl(path: string, rows: Iterable<unknown>): void {
  const writer = new JsonlWriter(path);
  try {
    for (const row of rows) writer.write(row);
  } finally {
    writer.close();
  }
}
