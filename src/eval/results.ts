import { readFile } from "node:fs/promises";
import { z } from "zod";
import { type Atom, type BenchmarkItem, itemKey } from "../core/benchmark.ts";
import { TtsVarError } from "../core/errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { withoutMark } from "../io/jsonl.ts";

/**
 * The verdict on one image. The first seven are those of GenEval's results, whose form all benchmarks share; files of its
 * official judge have no others.
 */
export interface ResultRow {
  /** Path of the image; ours are relative to the evaluation's folder. */
  readonly filename: string;
  readonly tag: string;
  readonly prompt: string;
  readonly correct: boolean;
  readonly reason: string;
  readonly metadata: BenchmarkItem;
  /** What else the judge saw: GenEval's detections that counted, by class. */
  readonly details: unknown;
  /** From 0 to 1, where an image is not just right or wrong. */
  readonly score?: number;
  readonly atoms?: readonly Atom[];
  /** Who judged: `name@sha8`. Missing in files of the official judge. */
  readonly judge?: string;
  /** SHA-256 of the image file. */
  readonly sha256?: string;
  /** Images that the whole set has; fewer rows mean an incomplete one. */
  readonly expected?: number;
  /** Weights behind the reward that chose the image. */
  readonly rewardModel?: string;
  /** FLOPs that the image's search spent. */
  readonly flops?: number;
}

const itemRow = z.looseObject({ prompt: z.string(), tag: z.string() });
const atomRow = z.object({
  question: z.string(),
  expected: z.string(),
  p: z.number().min(0).max(1),
  skill: z.string(),
  parent: z.array(z.int().min(0)),
});

const fileRow = z.looseObject({
  filename: z.string(),
  tag: z.string(),
  prompt: z.string(),
  correct: z.boolean(),
  reason: z.string(),
  metadata: z.string(),
  details: z.string(),
  score: z.number().min(0).max(1).optional(),
  atoms: z.array(atomRow).optional(),
  judge: z.string().optional(),
  sha256: z.string().optional(),
  expected: z.int().optional(),
  rewardModel: z.string().optional(),
  flops: z.number().optional(),
});

export interface ResultsFile {
  readonly rows: readonly ResultRow[];
  /** The last line was cut off: its writer was killed, or the disk was full. */
  readonly tornTail: boolean;
}

/** A row as the file holds it, keys in a fixed order: metadata and details are JSON texts, as in the official one. */
export function toFileRow(row: ResultRow): Record<string, unknown> {
  const { filename, tag, prompt, correct, reason, metadata, details, ...own } = row;
  return {
    ...{ filename, tag, prompt, correct, reason },
    metadata: JSON.stringify(metadata),
    details: JSON.stringify(details),
    score: own.score,
    atoms: own.atoms,
    judge: own.judge,
    sha256: own.sha256,
    expected: own.expected,
    rewardModel: own.rewardModel,
    flops: own.flops,
  };
}

/** The item as it stands in the file: verdicts of other judges may be about more than we can judge. */
function parseItem(text: string): BenchmarkItem {
  const value: unknown = JSON.parse(text);
  itemRow.parse(value);
  return value as BenchmarkItem;
}

/** Parses one line. @throws EVAL_DATA naming `where` */
export function parseResult(line: string, where: string): ResultRow {
  try {
    const { metadata, details, ...row } = fileRow.parse(JSON.parse(line));
    return {
      ...(row as Omit<ResultRow, "metadata" | "details">),
      metadata: parseItem(metadata),
      details: JSON.parse(details),
    };
  } catch (error) {
    if (error instanceof TtsVarError) throw error;
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    const reason = issue ? `${issue.path.join(".")}: ${issue.message}` : (error as Error).message;
    throw new TtsVarError("EVAL_DATA", `${where}: not a line of a results file (${reason})`, {
      cause: error,
    });
  }
}

/**
 * Reads a results file, ours or the official one (`\/` escapes included).
 *
 * @throws EVAL_DATA for a missing file or a bad line other than a torn last one, by number
 */
export async function readResults(path: string): Promise<ResultsFile> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read ${path} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  const lines = withoutMark(text).split("\n");
  const tail = lines.pop()!;
  const rows = lines.map((line, index) => parseResult(line, `${path}:${index + 1}`));
  // A file that does not end with a line feed (an editor, an old pandas) is whole if its last line parses.
  if (tail === "") return { rows, tornTail: false };
  try {
    return { rows: [...rows, parseResult(tail, `${path}:${lines.length + 1}`)], tornTail: false };
  } catch {
    return { rows, tornTail: true };
  }
}

export async function writeResults(path: string, rows: readonly ResultRow[]): Promise<void> {
  await writeFileAtomic(path, rows.map((row) => `${JSON.stringify(toFileRow(row))}\n`).join(""));
}

/** Images by prompt, in order of first appearance. */
export function groupByPrompt(rows: readonly ResultRow[]): Map<string, ResultRow[]> {
  const groups = new Map<string, ResultRow[]>();
  for (const row of rows) {
    const key = itemKey(row.metadata);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(row);
  }
  return groups;
}
