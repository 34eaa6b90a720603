import pLimit from "p-limit";
import type { Judge, QuestionItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { askQuestions, inOneWord } from "../../inference/vlm/ask.ts";
import { endpointId, firstTokens, type VlmEndpoint } from "../../inference/vlm/endpoint.ts";
import { verdictOf } from "./verdict.ts";

/**
 * A vision-language model behind an OpenAI-compatible endpoint, which answers each question of an item in one word; `p` is
 * the probability of the expected word (Soft-TIFA). What the server computes is its own affair, so no FLOPs are told.
 *
 * @throws MODEL_RUNTIME when the endpoint does not answer a first question, or without token probabilities
 */
export async function openVlmJudge(endpoint: VlmEndpoint, signal: AbortSignal): Promise<Judge<QuestionItem>> {
  const limit = pLimit(endpoint.concurrency);
  const what = `judge ${endpoint.model} at ${endpoint.url}`;
  // Before any image is made: the address, the key, the model's name, and token probabilities.
  const grey = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3).fill(128) };
  await firstTokens(grey, inOneWord("Is this picture grey?"), endpoint, {
    ...{ what: `${what}, tried with a grey picture,`, signal, code: "MODEL_RUNTIME" },
  });
  return {
    id: endpointId(endpoint),
    flops: 0,
    judge: (samples) =>
      Promise.all(
        samples.map(({ item, image }) =>
          limit(async () => {
            const asking = { what: `${what}, "${item.prompt}",`, signal, code: "MODEL_RUNTIME" as const };
            return verdictOf(await askQuestions(image, questionsOf(item), endpoint, asking), {});
          }),
        ),
      ),
    async [Symbol.asyncDispose]() {},
  };
}

function questionsOf({ prompt, questions }: QuestionItem): QuestionItem["questions"] {
  if (Array.isArray(questions) && questions.length > 0) return questions;
  throw new TtsVarError("EVAL_DATA", `"${prompt}" brings no questions that a language model could answer`);
}
