import type { GenevalMetadata, IncludeClause } from "../../src/eval/geneval/rules.ts";
import { genevalPlural, numberWords, withArticle } from "../../src/eval/geneval/vocabulary.ts";

/**
 * A prompt's conditions as questions that are answered with yes, one for each: what is there, in its colour or number, and
 * where it is to another thing.
 */
export function questionsOf({ include = [] }: GenevalMetadata): string[] {
  return include.flatMap((clause) => {
    const { position } = clause;
    const other = position && include[position[1]];
    return [
      `${several(clause)}?`,
      ...(other ? [`${withArticle(clause.class)} ${position[0]} ${withArticle(other.class)}?`] : []),
    ];
  });
}

function several({ class: name, count, color }: IncludeClause): string {
  const words = color === undefined ? name : `${color} ${name}`;
  return count === 1 ? withArticle(words) : `${numberWords[count] ?? count} ${genevalPlural(words)}`;
}
