import pLimit from "p-limit";
import type { Judge, QuestionItem } from "../../core/benchmark.ts";
import { TtsVarError } from "../../core/errors.ts";
import { askQuestions } from "../../inference/vlm/ask.ts";
import { endpointId, type VlmEndpoint } from "../../inference/vlm/endpoint.ts";
import { verdictOf } from "./verdict.ts";

/**
 * A vision-language model behind an OpenAI-compatible endpoint, which answers each question of an item in one word; `p` is
 * the probability of the expected word (Soft-TIFA). What the server computes is its own affair, so no FLOPs are told.
 */
export function vlmJudge(endpoint: VlmEndpoint, signal: AbortSignal): Judge<QuestionItem> {
  const limit = pLimit(endpoint.concurrency);
  const what = `judge ${endpoint.model} at ${endpoint.url}`;
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
