import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJson } from "../inference/folder/read-json.ts";
import { loadTokenizer } from "../inference/runtime/tokenizer.ts";

/** What a model makes of a prompt before anything is drawn. */
export interface PromptCheck {
  /** Tokens of the whole prompt, end token included, and how many of them the model reads. */
  readonly tokens: number;
  readonly limit: number;
  /** Words that the model has no token for, in order, each once. */
  readonly unknown: readonly string[];
  /** Whether nothing is left that the model reads: signs, pictures and unknown words only. */
  readonly empty: boolean;
}

/** Prompts may be long; words beyond this many are cut off by every text encoder anyway. */
const MAX_WORDS = 256;
/** Words, and pictures that stand for words: flags, and emoji with their modifiers. */
const WORD =
  /[\p{L}\p{M}\p{N}'-]*[\p{L}\p{N}][\p{L}\p{M}\p{N}'-]*|\p{Regional_Indicator}{2}|\p{Extended_Pictographic}(?:\p{Emoji_Modifier}|\uFE0F|\u200D\p{Extended_Pictographic})*/gu;
/** Longest phrase that one token may stand for, in words ("to the right of"). */
const MAX_PHRASE = 4;

/**
 * Looks up prompts in the tokenizer of a model folder. Null if the folder has none, or one without unknown words.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function promptChecker(modelDir: string): Promise<((prompt: string) => PromptCheck) | null> {
  const path = join(modelDir, "tokenizer_config.json");
  if (!existsSync(path) || !existsSync(join(modelDir, "tokenizer.json"))) return null;
  const config = await readJson(path);
  const limit = Number(config["model_max_length"] ?? Number.POSITIVE_INFINITY);
  const tokenizer = await loadTokenizer(modelDir, Number.MAX_SAFE_INTEGER);
  const unknownId = tokenizer.unknown;
  const frame = tokenizer.encode("").length;
  // Tokenizers may drop what says nothing ("a photo of"), and pictures, which do say something.
  const known = (text: string): boolean => {
    const ids = tokenizer.encode(text);
    return !ids.includes(unknownId ?? Number.NaN) && (ids.length > frame || /[\p{L}\p{N}]/u.test(text));
  };
  return (prompt) => {
    const words = (prompt.match(WORD) ?? []).slice(0, MAX_WORDS);
    const ids = tokenizer.encode(prompt);
    return {
      tokens: ids.length,
      limit,
      unknown: unknownWords(words, known),
      empty: ids.filter((id) => id !== unknownId).length <= frame,
    };
  };
}

/** Words that are in no known phrase. */
function unknownWords(words: readonly string[], known: (text: string) => boolean): string[] {
  const unknown: string[] = [];
  for (let at = 0; at < words.length; ) {
    let length = Math.min(MAX_PHRASE, words.length - at);
    while (length > 0 && !known(words.slice(at, at + length).join(" "))) length--;
    if (length === 0 && !unknown.includes(words[at]!)) unknown.push(words[at]!);
    at += Math.max(1, length);
  }
  return unknown;
}

/** The check as sentences for the user; empty if there is nothing to say. */
export function promptWarnings(check: PromptCheck): string[] {
  const warnings: string[] = [];
  if (check.unknown.length > 0) {
    const shown = check.unknown.slice(0, 8).map((word) => `"${word}"`);
    const more = check.unknown.length > 8 ? ` and ${check.unknown.length - 8} more` : "";
    warnings.push(
      `the model does not know ${shown.join(", ")}${more} and ignores ${check.unknown.length === 1 ? "it" : "them"}; ` +
        "what the embedded model can draw is described in README.md",
    );
  }
  if (check.empty) {
    warnings.push("nothing of the prompt is left that the model could draw; the images will show anything");
  }
  if (check.tokens > check.limit) {
    warnings.push(
      `the prompt has ${check.tokens} tokens; the model reads the first ${check.limit} and ignores the rest`,
    );
  }
  return warnings;
}
