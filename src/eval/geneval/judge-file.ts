import { readFile } from "node:fs/promises";
import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { withoutMark } from "../../io/jsonl.ts";
import { className, colorName, inOwnWords } from "./closed-vocabulary.ts";
import { parseMetadata } from "./metadata.ts";
import { judgeDetections, type RuleOptions, type Verdict } from "./rules.ts";

const detection = z.tuple([z.number(), z.number(), z.number(), z.number(), z.number()]);

const recorded = z.looseObject({
  metadata: z.unknown(),
  detections: z.record(z.string(), z.array(detection)),
  colors: z.record(z.string(), z.array(z.string())).default({}),
});

export interface JudgedLine {
  /** The line as it was, with the verdict's `correct` and `reason`. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly verdict: Verdict;
}

/** A table by class under GenEval's names. @throws EVAL_DATA for unknown classes, or one under two names */
function byOwnName<Value>(table: Readonly<Record<string, Value>>, where: string): Record<string, Value> {
  const named = new Map<string, Value>();
  for (const [word, value] of Object.entries(table)) {
    const name = className(word, where);
    if (named.has(name)) throw new TtsVarError("EVAL_DATA", `${where}: "${name}" is there under two names`);
    named.set(name, value);
  }
  return Object.fromEntries(named);
}

/**
 * Judges recorded detections: lines `{metadata, detections: {class: [[x0, y0, x1, y1, score], ...]}, colors: {class:
 * [name, ...]}}`, colours of the kept objects by falling score.
 *
 * @throws EVAL_DATA naming the first bad line by number
 */
export async function judgeDetectionsFile(path: string, rules?: RuleOptions): Promise<JudgedLine[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read ${path} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  const judged = withoutMark(text)
    .split("\n")
    .flatMap((line, index) => (line.trim() === "" ? [] : [judgeLine(line, `${path}:${index + 1}`, rules)]));
  if (judged.length === 0)
    throw new TtsVarError("EVAL_DATA", `${path} holds no detections; the file is empty`);
  return judged;
}

function judgeLine(line: string, where: string, rules: RuleOptions | undefined): JudgedLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new TtsVarError("EVAL_DATA", `${where}: not JSON (${(error as Error).message})`, { cause: error });
  }
  const parsed = recorded.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new TtsVarError("EVAL_DATA", `${where}: ${issue.path.join(".") || "line"}: ${issue.message}`);
  }
  const metadata = parseMetadata(parsed.data.metadata, where);
  const detections = byOwnName(parsed.data.detections, `${where}: detections`);
  const colors = byOwnName(parsed.data.colors, `${where}: colors`);
  for (const [name, words] of Object.entries(colors))
    colors[name] = words.map((word) => colorName(word, `${where}: colors.${name}`));
  let verdict: Verdict;
  try {
    verdict = judgeDetections(inOwnWords(metadata, where), detections, colors, rules);
  } catch (error) {
    if (error instanceof TtsVarError) throw new TtsVarError(error.code, `${where}: ${error.message}`);
    throw error;
  }
  const { correct, reason } = verdict;
  return { row: { ...(value as Record<string, unknown>), correct, reason }, verdict };
}
