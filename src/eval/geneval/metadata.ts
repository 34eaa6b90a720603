import { z } from "zod";
import { TtsVarError } from "../../core/errors.ts";
import { nearest } from "../../core/registry.ts";
import { withoutMark } from "../../io/jsonl.ts";
import { inOwnWords } from "./closed-vocabulary.ts";
import type { GenevalMetadata } from "./rules.ts";

const text = z.string().min(1);
const count = z.int().min(1);

const schema = z.looseObject({
  tag: text,
  include: z
    .array(
      z.looseObject({
        class: text,
        count,
        color: text.optional(),
        position: z.tuple([text, z.int().min(0)]).optional(),
      }),
    )
    .optional(),
  exclude: z.array(z.looseObject({ class: text, count })).optional(),
  prompt: text,
});

/**
 * Checks one metadata row: its form, and that it asks for things that GenEval knows (see `inOwnWords`). The row itself is
 * returned, with its keys in their order, because GenEval identifies a prompt by the row's text.
 *
 * @param where file and line, for the message
 * @throws EVAL_DATA naming the wrong field
 */
export function parseMetadata(value: unknown, where: string): GenevalMetadata {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const path = issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
    throw new TtsVarError("EVAL_DATA", `${where}: not a GenEval metadata row; ${path}${issue.message}`, {
      details: { where, issues: parsed.error.issues },
    });
  }
  const metadata = value as GenevalMetadata;
  if ((metadata.include ?? []).length === 0) {
    throw new TtsVarError("EVAL_DATA", `${where}: include names no object, so that any image would be right`);
  }
  // Tags are free, but this one has a threshold of its own: a slip would judge counts by the wrong one.
  if (metadata.tag !== "counting" && nearest(metadata.tag, ["counting"])) {
    throw new TtsVarError("EVAL_DATA", `${where}: tag "${metadata.tag}"; did you mean "counting"?`);
  }
  inOwnWords(metadata, where);
  metadata.include?.forEach(({ position }, index) => {
    if (position && position[1] >= index) {
      throw new TtsVarError(
        "EVAL_DATA",
        `${where}: include.${index}.position refers to clause ${position[1]}; it must be an earlier one`,
      );
    }
  });
  return metadata;
}

/**
 * Reads the official `evaluation_metadata.jsonl`: one row per line, empty lines ignored at the end only.
 *
 * @param name file name, for messages
 * @throws EVAL_DATA naming the first bad line by its number (1-based), or the lines of a duplicate
 */
export function parseMetadataFile(content: string, name: string): GenevalMetadata[] {
  // Some editors begin a file with a byte order mark.
  const lines = withoutMark(content).replace(/\s+$/, "").split(/\r?\n/);
  if (lines.length === 1 && lines[0] === "") {
    throw new TtsVarError("EVAL_DATA", `${name}: no prompts; the file is empty`);
  }
  const firstLine = new Map<string, number>();
  return lines.map((line, index) => {
    const where = `${name}:${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TtsVarError("EVAL_DATA", `${where}: not JSON (${reason})`, { cause: error });
    }
    const metadata = parseMetadata(value, where);
    const key = JSON.stringify(value);
    const first = firstLine.get(key);
    if (first !== undefined) {
      throw new TtsVarError("EVAL_DATA", `${where}: the same row as line ${first}; a prompt may occur once`);
    }
    firstLine.set(key, index + 1);
    return metadata;
  });
}
