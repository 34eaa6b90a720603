import { readFile } from "node:fs/promises";
import { TtsVarError } from "../../core/errors.ts";
import { withoutMark } from "../../io/jsonl.ts";
import { parseMetadataFile } from "./metadata.ts";
import { distributeCounts, generatePrompts, type PromptSet, sharedScenes } from "./prompts.ts";
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
 * @param disjointFrom prompt sets (`readPromptSet`) whose scenes generated prompts must not repeat
 * @throws USAGE, EVAL_DATA
 */
export async function loadPrompts(
  source: string,
  seed: string,
  disjointFrom: readonly string[] = [],
): Promise<readonly GenevalMetadata[]> {
  const others = (await Promise.all(disjointFrom.map(readPromptSet))).flat();
  if (!/^\d+$/.test(source)) {
    const prompts = await readPrompts(source);
    const shared = sharedScenes(prompts, others);
    if (shared.length === 0) return prompts;
    throw new TtsVarError(
      "EVAL_DATA",
      `${source} shares ${shared.length} scenes with ${disjointFrom.join(", ")}, first "${shared[0]!.prompt}"; leave them out, or name other prompts`,
    );
  }
  const { prompts, short } = generatePrompts({
    seed,
    counts: distributeCounts(parseCount(source, "--prompts")),
    disjointFrom: others,
  });
  if (short.length > 0) throw new TtsVarError("USAGE", `--prompts ${source}: ${describeShort(short)}`);
  return prompts;
}

/**
 * `--disjoint-from FILE|SEED:N`: the rows of a metadata file, or the N prompts that a seed generates, such as `tuning:96`.
 *
 * @throws USAGE, EVAL_DATA
 */
export async function readPromptSet(set: string): Promise<readonly GenevalMetadata[]> {
  const generated = /^(.+):(\d+)$/.exec(set);
  return generated ? loadPrompts(generated[2]!, generated[1]!) : readPrompts(set);
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
