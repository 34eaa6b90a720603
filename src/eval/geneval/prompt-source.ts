import { readFile } from "node:fs/promises";
import { TtsVarError } from "../../core/errors.ts";
import { withoutMark } from "../../io/jsonl.ts";
import { parseMetadataFile } from "./metadata.ts";
import { distributeCounts, generatePrompts, type PromptSet } from "./prompts.ts";
import type { GenevalMetadata } from "./rules.ts";
import { type Tag, tags } from "./vocabulary.ts";

/** Reads an official `evaluation_metadata.jsonl`. @throws EVAL_DATA naming file and line */
export async function readPrompts(path: string): Promise<GenevalMetadata[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new TtsVarError("EVAL_DATA", `cannot read the prompts ${path} (${error.code ?? error.message})`, {
      cause: error,
    });
  });
  return parseMetadataFile(withoutMark(text), path);
}

/**
 * `--prompts FILE|N`: the rows of a file, or N generated prompts (553: the official counts).
 *
 * @throws USAGE, EVAL_DATA
 */
export async function loadPrompts(source: string, seed: string): Promise<readonly GenevalMetadata[]> {
  if (!/^\d+$/.test(source)) return readPrompts(source);
  const { prompts, short } = generatePrompts({
    seed,
    counts: distributeCounts(parseCount(source, "--prompts")),
  });
  if (short.length > 0) throw new TtsVarError("USAGE", `--prompts ${source}: ${describeShort(short)}`);
  return prompts;
}

/** One line per task whose grammar is used up. */
export function describeShort(short: PromptSet["short"]): string {
  return short
    .map(({ tag, wanted, got }) => `${tag} has only ${got} unused scenes of ${wanted} wanted`)
    .join("; ");
}

/** A positive whole number. @throws USAGE */
export function parseCount(text: string, flag: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1) return value;
  throw new TtsVarError("USAGE", `${flag} ${text}: must be a whole number from 1`);
}

/** `single_object=80,counting=40`: tasks that are not named get none. @throws USAGE */
export function parsePerTag(text: string): Record<Tag, number> {
  const counts = Object.fromEntries(tags.map((tag) => [tag, 0])) as Record<Tag, number>;
  for (const part of text.split(",")) {
    const [tag, count] = part.split("=");
    if (!tags.some((known) => known === tag) || !/^\d+$/.test(count ?? "")) {
      throw new TtsVarError(
        "USAGE",
        `--per-tag ${text}: must look like single_object=80,counting=40; tasks: ${tags.join(", ")}`,
      );
    }
    counts[tag as Tag] = Number(count);
  }
  return counts;
}
