import { otherNames } from "../../src/eval/geneval/class-aliases.ts";
import { genevalPlural } from "../../src/eval/geneval/vocabulary.ts";

/** English words around GenEval's vocabulary. Longest match wins when a prompt is read. */

const irregular: ReadonlyMap<string, readonly string[]> = new Map([
  ["person", ["people"]],
  ["sheep", ["sheep"]],
  ["knife", ["knives"]],
  ["skis", ["skis"]],
  ["scissors", ["scissors"]],
  ["computer mouse", ["computer mice"]],
  ["mouse", ["mice"]],
  ["broccoli", ["broccoli"]],
  ["skateboard", ["skate boards"]],
]);

/** A word form of a class: whether it says "several" by itself. */
export interface NounForm {
  readonly class: string;
  readonly plural: boolean;
}

/** All forms of all classes: singular, GenEval's plural and its naive form (name + s), the English plural, synonyms. */
export function nounForms(classes: readonly string[]): Map<string, NounForm> {
  const forms = new Map<string, NounForm>();
  for (const name of classes) {
    for (const base of [name, ...(otherNames.get(name) ?? [])]) {
      for (const plural of [
        `${base}s`,
        genevalPlural(base),
        englishPlural(base),
        ...(irregular.get(base) ?? []),
      ]) {
        forms.set(plural, { class: name, plural: true });
      }
    }
  }
  // Singular last: "sheep" and "scissors" alone do not say "several".
  for (const name of classes) {
    for (const base of [name, ...(otherNames.get(name) ?? [])])
      forms.set(base, { class: name, plural: false });
  }
  return forms;
}

function englishPlural(name: string): string {
  return /(?:s|x|ch|sh)$/.test(name) ? `${name}es` : `${name}s`;
}

/** Relations by their surface forms. */
export const relationForms: ReadonlyMap<string, string> = new Map([
  ["left of", "left of"],
  ["to the left of", "left of"],
  ["on the left of", "left of"],
  ["on the left side of", "left of"],
  ["right of", "right of"],
  ["to the right of", "right of"],
  ["on the right of", "right of"],
  ["on the right side of", "right of"],
  ["above", "above"],
  ["over", "above"],
  ["on top of", "above"],
  ["below", "below"],
  ["under", "below"],
  ["underneath", "below"],
  ["beneath", "below"],
]);

export const numberForms: ReadonlyMap<string, number> = new Map(
  ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"].flatMap((word, index) => [
    [word, index + 1] as const,
    [String(index + 1), index + 1] as const,
  ]),
);

/** Words between objects. */
export const joiners: ReadonlySet<string> = new Set(["and", ",", "next to", "with", "beside", "near", "&"]);

/** Words without content here. */
export const fillers: ReadonlySet<string> = new Set([
  "a",
  "an",
  "the",
  "of",
  "is",
  "are",
  "showing",
  "photo",
  "photograph",
  "picture",
  "image",
  "drawing",
  "icon",
  "icons",
  "illustration",
  "scene",
  "there",
  "colored",
  "coloured",
]);
