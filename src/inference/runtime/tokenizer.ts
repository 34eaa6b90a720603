import { join } from "node:path";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { readJson } from "../folder/read-json.ts";

/** Text to token ids, with the end token kept when the text is cut. */
export interface Tokenizer {
  /** Ids including the special tokens, at most `maxLength`. */
  encode(text: string): number[];
  /** Ids of a text without any special tokens around it, uncut. */
  encodePlain(text: string): number[];
  /** Id of a token by its text; null if there is none. */
  idOf(token: string): number | null;
  /** Id of the token that begins a text; null if the folder names none. */
  readonly begin: number | null;
  /** Id that stands for what has no token; null if everything has one. */
  readonly unknown: number | null;
  /** Id of the token that fills up short texts; null if the folder names none. */
  readonly padding: number | null;
}

/**
 * Loads `tokenizer.json` and `tokenizer_config.json` of a folder with the tokenizer library of transformers.js, without
 * the rest of it (which takes ten times longer to import).
 *
 * The library cuts ids after the special tokens were added, which would delete the end token that text encoders pool
 * at; so the cut is made here: the last id that remains is replaced by the last id of the full text.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID
 */
export async function loadTokenizer(dir: string, maxLength?: number): Promise<Tokenizer> {
  const definition = await readJson(join(dir, "tokenizer.json"));
  const config = await readJson(join(dir, "tokenizer_config.json"));
  const tokenizer = new HuggingFaceTokenizer(definition, config);
  const declared = config["model_max_length"];
  const limit = maxLength ?? (typeof declared === "number" && declared < 1e6 ? declared : 512);
  return {
    unknown: unknownId(definition, config, tokenizer),
    padding: namedId(config["pad_token"], tokenizer),
    begin: namedId(config["bos_token"], tokenizer),
    idOf: (token) => tokenizer.token_to_id(token) ?? null,
    encodePlain: (text) => tokenizer.encode(shortened(text), { add_special_tokens: false }).ids,
    encode(text) {
      const { ids } = tokenizer.encode(shortened(text));
      return ids.length <= limit ? ids : [...ids.slice(0, limit - 1), ids.at(-1)!];
    },
  };
}

/** By the definition of the model (Unigram), else by the token's text. */
function unknownId(
  definition: Record<string, unknown>,
  config: Record<string, unknown>,
  tokenizer: HuggingFaceTokenizer,
): number | null {
  const model = definition["model"] as { unk_id?: number; unk_token?: string } | undefined;
  if (typeof model?.unk_id === "number") return model.unk_id;
  const token = model?.unk_token ?? config["unk_token"];
  return typeof token === "string" ? (tokenizer.token_to_id(token) ?? null) : null;
}

/** Patterns such as \s*,\s* of a normalizer take quadratic time on blanks; more than these say nothing to a model. */
function shortened(text: string): string {
  return text.replace(/\s{65,}/g, (blanks) => blanks.slice(0, 64));
}

function namedId(named: unknown, tokenizer: HuggingFaceTokenizer): number | null {
  // Older folders write added tokens as objects.
  const token = typeof named === "object" ? (named as { content?: unknown } | null)?.content : named;
  return typeof token === "string" ? (tokenizer.token_to_id(token) ?? null) : null;
}
