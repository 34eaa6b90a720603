import { TtsVarError } from "../../../core/errors.ts";
import type { Tokenizer } from "../../../inference/runtime/tokenizer.ts";
import type { Unconditional } from "./settings.ts";

/** The token after which a picture begins. */
const BEGIN_OF_IMAGE = "<begin_of_image>";

/** A branch's prompt: ids, and which of them are seen. */
export interface Branch {
  readonly ids: readonly number[];
  readonly seen: boolean;
}

/** Token ids of Janus's template for text to image, `<|User|>: TEXT\n\n<|Assistant|>:<begin_of_image>` after the begin token. */
export function promptIds(tokenizer: Tokenizer, text: string): number[] {
  const begin = tokenizer.begin;
  const image = tokenizer.idOf(BEGIN_OF_IMAGE);
  if (begin === null || image === null) {
    throw new TtsVarError(
      "MODEL_INVALID",
      `the tokenizer has no ${begin === null ? "bos_token" : BEGIN_OF_IMAGE}; it is not that of a Janus model`,
    );
  }
  return [begin, ...tokenizer.encodePlain(`<|User|>: ${text}\n\n<|Assistant|>:`), image];
}

/** The unconditional branch's prompt; see `UNCONDITIONAL`. */
export function withoutText(ids: readonly number[], pad: number, how: Unconditional): Branch {
  if (how === "released") return { ids: ids.map(() => pad), seen: false };
  return { ids: ids.map((id, at) => (at === 0 || at === ids.length - 1 ? id : pad)), seen: true };
}
