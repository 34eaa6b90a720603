import { TtsVarError } from "../../src/core/errors.ts";
import type { IncludeClause } from "../../src/eval/geneval/rules.ts";
import { colorNames } from "../../src/eval/geneval/vocabulary.ts";
import { parsePrompt } from "./prompt-parser.ts";

export type Way = "left" | "right" | "up" | "down";

/** What an instruction asks for. */
export interface EditInstruction {
  readonly kind: "recolour" | "replace" | "add" | "remove" | "move";
  /** Class of the object that the source has and that changes; null where one is added. */
  readonly from: string | null;
  /** The object that the edited picture shows in its place; null where one is removed. */
  readonly to: IncludeClause | null;
  /** Where an added object stands, or where one is moved. */
  readonly way: Way | null;
}

const FORMS: readonly [EditInstruction["kind"], RegExp][] = [
  ["recolour", /^(?:make|turn|paint|colou?r|change) (?:the |an? )?(?<from>.+?) (?:to |into )?(?<color>\w+)$/],
  ["replace", /^(?:replace|swap) (?<from>.+?) (?:with|by|for) (?<to>.+)$/],
  ["add", /^(?:add|put) (?<to>.+?)(?: (?:to|on|at) the (?<way>left|right))?$/],
  ["remove", /^(?:remove|delete|erase) (?<from>.+)$/],
  ["move", /^move (?<from>.+?) (?:to the )?(?<way>left|right|up|down)$/],
];

/**
 * Reads an instruction: make the cup red, replace the cup with a dog, add a blue dog to the left, remove the cup, move the cup up.
 * Objects are GenEval's classes.
 *
 * @throws REWARD_FAILED naming what was not understood
 */
export function parseInstruction(text: string): EditInstruction {
  const plain = text
    .trim()
    .toLowerCase()
    .replace(/[.!]+$/, "");
  for (const [kind, form] of FORMS) {
    const found = form.exec(plain)?.groups;
    if (!found) continue;
    const { from, to, color, way } = found;
    if (kind === "recolour" && !colorNames.some((name) => name === color)) continue;
    const before = from === undefined ? null : objectOf(from, text);
    const after =
      to === undefined
        ? before && { class: before.class, count: 1, ...(color && { color }) }
        : objectOf(to, text);
    return {
      kind,
      from: before?.class ?? null,
      to: kind === "remove" ? null : after,
      way: (way as Way) ?? null,
    };
  }
  throw unreadable(text, "it has none of the forms");
}

function objectOf(phrase: string, text: string): IncludeClause {
  const { include = [] } = parsePrompt(phrase);
  if (include.length === 1 && include[0]!.count === 1) return include[0]!;
  throw unreadable(text, `"${phrase}" is not one object`);
}

function unreadable(text: string, why: string): TtsVarError {
  return new TtsVarError(
    "REWARD_FAILED",
    `reward edit cannot read the instruction "${text}": ${why} "make the cup red", "replace the cup with a dog", "add a dog to the left", "remove the cup", "move the cup up"; say it like this, or choose another reward`,
    { details: { text } },
  );
}
