import { TtsVarError } from "../../src/core/errors.ts";
import type { GenevalMetadata, IncludeClause } from "../../src/eval/geneval/rules.ts";
import { classNames, colorNames } from "../../src/eval/geneval/vocabulary.ts";
import { fillers, joiners, nounForms, numberForms, relationForms } from "./surface-forms.ts";

interface ParsedObject {
  class: string;
  count: number;
  /** The number was said, so that more objects are wrong. */
  exact: boolean;
  color: string | null;
  /** Relation of this object to the next one. */
  relation: string | null;
}

const nouns = nounForms(classNames);
const colors: ReadonlySet<string> = new Set(colorNames);
const longestForm = 5;

/**
 * Reads a prompt of GenEval's grammar, or a paraphrase of it, into the metadata row that GenEval would have for it:
 * objects of the 80 classes with counts and colours, joined or related in space.
 *
 * Every content word must be understood: silently ignoring one would reward images for a part of the prompt.
 *
 * @throws REWARD_FAILED naming the words that were not understood
 */
export function parsePrompt(prompt: string): GenevalMetadata {
  const objects = readObjects(prompt);
  if (objects.length === 0) throw unreadable(prompt, "it names none of GenEval's 80 classes");
  const repeated = objects.find(
    (object, index) => objects.findIndex((o) => o.class === object.class) < index,
  );
  if (repeated)
    throw unreadable(prompt, `it names "${repeated.class}" twice, which GenEval's rule cannot tell apart`);

  const related = objects.some((object) => object.relation !== null);
  // GenEval's rule looks at clauses in order, and a relation's reference must come before the object it positions.
  const ordered = related ? [...objects].reverse() : objects;
  const include = ordered.map((object): IncludeClause => {
    const reference = objects[objects.indexOf(object) + 1];
    return {
      class: object.class,
      count: object.count,
      ...(object.color === null ? {} : { color: object.color }),
      ...(object.relation === null || reference === undefined
        ? {}
        : { position: [object.relation, ordered.indexOf(reference)] as const }),
    };
  });
  const exclude = objects
    .filter((object) => object.exact && object.count > 1)
    .map((object) => ({ class: object.class, count: object.count + 1 }));
  return { tag: tagOf(objects, related), include, ...(exclude.length > 0 ? { exclude } : {}), prompt };
}

function tagOf(objects: readonly ParsedObject[], related: boolean): string {
  if (objects.some((object) => object.exact && object.count > 1)) return "counting";
  if (related) return "position";
  const colored = objects.some((object) => object.color !== null);
  if (objects.length === 1) return colored ? "colors" : "single_object";
  return colored ? "color_attr" : "two_object";
}

function readObjects(prompt: string): ParsedObject[] {
  const words = prompt
    .toLowerCase()
    .replace(/([a-z])-(colou?red)\b/g, "$1 $2")
    .replace(/,/g, " , ")
    .replace(/[.!?"']+(?=\s|$)/g, "")
    .split(/\s+/)
    .filter((word) => word !== "");
  const objects: ParsedObject[] = [];
  const unknown: string[] = [];
  let count: number | null = null;
  let color: string | null = null;
  for (let at = 0; at < words.length; ) {
    const size = formLength(words, at);
    const form = words.slice(at, at + size).join(" ");
    at += size;
    const noun = nouns.get(form);
    const relation = relationForms.get(form);
    const last = objects.at(-1);
    if (colors.has(form) && startsWithNoun(words, at)) {
      color = form;
    } else if (noun) {
      objects.push({
        class: noun.class,
        count: count ?? (noun.plural ? 2 : 1),
        exact: count !== null,
        color,
        relation: null,
      });
      [count, color] = [null, null];
    } else if (relation !== undefined && last !== undefined) {
      last.relation = relation;
    } else if (numberForms.has(form)) {
      count = numberForms.get(form)!;
    } else if (!joiners.has(form) && !fillers.has(form)) {
      unknown.push(form);
    }
  }
  if (unknown.length > 0)
    throw unreadable(prompt, `it does not know ${unknown.map((w) => `"${w}"`).join(", ")}`);
  const dangling = objects.at(-1)?.relation;
  if (dangling) throw unreadable(prompt, `nothing follows "${dangling}"`);
  return objects;
}

/** Number of words of the longest known form that begins at `at`; 1 when none does. */
function formLength(words: readonly string[], at: number): number {
  for (let size = Math.min(longestForm, words.length - at); size > 1; size--) {
    const form = words.slice(at, at + size).join(" ");
    if (nouns.has(form) || relationForms.has(form) || joiners.has(form)) return size;
  }
  return 1;
}

/** "orange" is a colour only when a class follows. */
function startsWithNoun(words: readonly string[], at: number): boolean {
  const from = words[at] === "colored" || words[at] === "coloured" ? at + 1 : at;
  return [2, 1].some((size) => nouns.has(words.slice(from, from + size).join(" ")));
}

function unreadable(prompt: string, why: string): TtsVarError {
  return new TtsVarError(
    "REWARD_FAILED",
    `reward geneval cannot read the prompt "${prompt}": ${why}. Write it as GenEval does ("a photo of two red cups", "a photo of a dog left of a bench"), give metadata with include clauses, or choose another reward such as clip.`,
    { details: { prompt } },
  );
}
