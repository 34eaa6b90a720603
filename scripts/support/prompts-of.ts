import { generatePrompts } from "../../src/eval/geneval/prompts.ts";
import type { GenevalMetadata } from "../../src/eval/geneval/rules.ts";
import { tags } from "../../src/eval/geneval/vocabulary.ts";

/** As many prompts of GenEval's grammar for each of its tasks. */
export function promptsOf(perTag: number, seed: string): readonly GenevalMetadata[] {
  const counts = Object.fromEntries(tags.map((tag) => [tag, perTag])) as Record<
    (typeof tags)[number],
    number
  >;
  return generatePrompts({ seed, counts }).prompts;
}
