import type { Atom, Question } from "../../core/benchmark.ts";
import type { RgbImage } from "../../core/image.ts";
import { chanceOf } from "./answers.ts";
import { type Asking, firstTokens, type VlmEndpoint } from "./endpoint.ts";

/** How a question is put to a model. */
export type Wording = (question: string) => string;

/** Soft-TIFA's wording (GenEval 2). */
export const inOneWord: Wording = (question) => `${question} Answer in one word.`;

/**
 * Asks all questions about one image, one after the other: what else is asked at the same time is the caller's choice.
 *
 * @throws `asking.code`, naming the question
 */
export async function askQuestions(
  image: RgbImage,
  questions: readonly Question[],
  endpoint: VlmEndpoint,
  asking: Asking,
  wording: Wording = inOneWord,
): Promise<Atom[]> {
  const atoms: Atom[] = [];
  for (const asked of questions) {
    const what = `${asking.what} asked "${asked.question}",`;
    const tokens = await firstTokens(image, wording(asked.question), endpoint, { ...asking, what });
    const { question, expected, skill, parent } = asked;
    atoms.push({ question, expected, p: chanceOf(asked, tokens), skill, parent });
  }
  return atoms;
}
