import type { Question } from "../../core/benchmark.ts";
import type { TokenChance } from "./endpoint.ts";

/** P(yes) / (P(yes) + P(no)) over all spellings of both words; null if neither is among the likely tokens. */
export function shareOfYes(tokens: readonly TokenChance[]): number | null {
  const probability = { yes: 0, no: 0 };
  for (const { token, p } of tokens) {
    const word = token.replace(/[^a-z]/gi, "").toLowerCase();
    if (word === "yes" || word === "no") probability[word] += p;
  }
  const total = probability.yes + probability.no;
  return total === 0 ? null : probability.yes / total;
}

const numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];

/**
 * Probability that an answer begins with the expected word, as Soft-TIFA counts it: the word or its capitalised form,
 * with or without a space before it, and for numbers the digits. What the other tokens share is not renormalised.
 *
 * Source: Kamath et al. 2025 (GenEval 2), evaluation.py.
 */
export function chanceOf({ expected }: Pick<Question, "expected">, tokens: readonly TokenChance[]): number {
  const word = expected.trim().toLowerCase();
  const accepted = new Set([word, word.charAt(0).toUpperCase() + word.slice(1)]);
  const number = numbers.indexOf(word);
  if (number > 0) accepted.add(String(number));
  // Some servers write the space before a word as their tokenizer does.
  const plain = (token: string): string => token.replace(/^[\u0120\u2581 ]/, "");
  const sum = tokens.reduce((total, { token, p }) => total + (accepted.has(plain(token)) ? p : 0), 0);
  return Math.min(sum, 1);
}
