import { TtsVarError } from "../../core/errors.ts";
import { nearest } from "../../core/registry.ts";
import { genevalClass, knownNames } from "./class-aliases.ts";
import type { GenevalMetadata } from "./rules.ts";
import { classNames, colorNames, relations } from "./vocabulary.ts";

/**
 * The row with GenEval's own words for its classes, colours and relations. A word that no judge can know is refused: it
 * would count as a wrong image, or, excluded, as a right one.
 *
 * @param where file and line, for the message
 * @throws EVAL_DATA naming the word, its place and the nearest known one
 */
export function inOwnWords(metadata: GenevalMetadata, where: string): GenevalMetadata {
  const include = metadata.include?.map(({ class: name, color, position, ...rest }, at) => ({
    ...rest,
    class: className(name, `${where}: include.${at}.class`),
    ...(color === undefined ? {} : { color: colorName(color, `${where}: include.${at}.color`) }),
    ...(position === undefined
      ? {}
      : { position: [relationName(position[0], `${where}: include.${at}.position`), position[1]] as const }),
  }));
  const exclude = metadata.exclude?.map(({ class: name, ...rest }, at) => ({
    ...rest,
    class: className(name, `${where}: exclude.${at}.class`),
  }));
  return { ...metadata, ...(include ? { include } : {}), ...(exclude ? { exclude } : {}) };
}

/** @throws EVAL_DATA */
export function className(word: string, where: string): string {
  const name = genevalClass(word);
  if (name !== null) return name;
  const close = nearestOf(word, knownNames);
  throw unknownWord("class", word, where, close && genevalClass(close), `${classNames.length} COCO classes`);
}

/** @throws EVAL_DATA */
export function colorName(word: string, where: string): string {
  return oneOf(colorNames, "colour", word, where);
}

function relationName(word: string, where: string): string {
  return oneOf(relations, "relation", word, where);
}

function oneOf(known: readonly string[], kind: string, word: string, where: string): string {
  const plain = word.trim().toLowerCase();
  if (known.includes(plain)) return plain;
  throw unknownWord(kind, word, where, nearestOf(plain, known), known.join(", "));
}

/** Of equally near words the one that begins alike: "green" for "grey", not "red". */
function nearestOf(word: string, known: readonly string[]): string | undefined {
  const alike = known.filter((name) => name[0] === word[0]?.toLowerCase());
  return nearest(word, alike) ?? nearest(word, known);
}

function unknownWord(
  kind: string,
  word: string,
  where: string,
  close: string | null | undefined,
  known: string,
): TtsVarError {
  const hint = close ? `; the nearest one is "${close}"` : "";
  return new TtsVarError("EVAL_DATA", `${where}: GenEval has no ${kind} "${word}"${hint} (known: ${known})`, {
    details: { where, kind, word, nearest: close ?? null },
  });
}
