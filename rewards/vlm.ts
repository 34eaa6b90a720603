import { z } from "zod";
import { allOf, arithmeticMean, geometricMean, likely } from "../src/core/atoms.ts";
import type { Atom } from "../src/core/benchmark.ts";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardContext, RewardItem, RewardTraits } from "../src/core/reward.ts";
import { shareOfYes } from "../src/inference/vlm/answers.ts";
import { askQuestions } from "../src/inference/vlm/ask.ts";
import { type Asking, endpointId, endpointShape, firstTokens } from "../src/inference/vlm/endpoint.ts";
import { longestPostMs } from "../src/io/post-json.ts";
import { facts } from "./parts/facts.ts";

const question = z.strictObject({
  question: z.string().min(1),
  expected: z.string().min(1).default("yes"),
  skill: z.string().min(1).default("other"),
  parent: z.array(z.int().min(0)).default([]),
});
const questionList = z
  .array(question)
  .min(1)
  .refine((list) => list.every(({ parent }, at) => parent.every((other) => other < at)), {
    error: "parent must list places of earlier questions, counted from 0",
  });

const options = z.strictObject({
  ...endpointShape,
  question: z
    .string()
    .refine((text) => text.includes("{prompt}"), "must contain {prompt}")
    .default('Does this figure show "{prompt}"? Please answer yes or no.'),
  questions: z
    .union([z.literal("metadata"), questionList])
    .optional()
    .describe(
      "ask these instead, each answered in one word: a list of {question, expected, skill, parent}, {prompt} standing for the prompt; or metadata: the questions that the prompt's row brings",
    ),
  aggregate: z
    .enum(["gm", "am", "all"])
    .default("gm")
    .describe("of several questions: geometric or arithmetic mean of their probabilities, or 1 if all hold"),
  flops: z.number().nonnegative().default(0).describe("FLOPs per image to charge to the budget"),
});
type VlmOptions = z.output<typeof options>;
type Questions = z.output<typeof questionList>;

const aggregates = { gm: geometricMean, am: arithmeticMean, all: allOf };

/**
 * By default P(yes) / (P(yes) + P(no)) of the first answer token of a vision-language model, over all spellings of both
 * words. With `questions`, a structured verdict: the probability of each expected answer as an atom in the details, a
 * question whose parent fails counting nothing, and their mean as the score.
 *
 * Source: Lin et al. 2024 (VQAScore: the question and the use of the answer's probability); Kamath et al. 2025 (GenEval
 * 2: Soft-TIFA, its wording and means); Cho et al. 2024 (DSG: questions that depend on others).
 */
export const vlm: RewardDefinition<VlmOptions> = {
  name: "vlm",
  summary: "probability of yes, or of the answers to your questions, from a vision endpoint",
  license: facts.vlm.license,
  options,
  traits: async (settings) => traitsOf(settings),
  create(settings) {
    const asked = Array.isArray(settings.questions) ? settings.questions.length : 1;
    return {
      ...traitsOf(settings),
      // The host hands over as many as are asked at once.
      maxBatch: settings.concurrency,
      timeoutMs: longestPostMs(settings) * Math.max(asked, settings.questions === "metadata" ? 32 : 1) + 1000,
      async score(batch, context) {
        if (settings.questions === undefined) {
          return { scores: await Promise.all(batch.map((item) => ask(item, settings, context))) };
        }
        // Before anything is asked, so that a row without questions costs nothing.
        const wanted = batch.map((item) => questionsFor(item, settings.questions!));
        const verdicts = await Promise.all(
          batch.map((item, at) =>
            askQuestions(item.image, wanted[at]!, settings, asking(item, settings, context)),
          ),
        );
        return { scores: verdicts.map(aggregates[settings.aggregate]), details: verdicts.map(detailsOf) };
      },
      async [Symbol.asyncDispose]() {},
    };
  },
};

function asking(item: RewardItem, { model, url }: VlmOptions, { signal }: RewardContext): Asking {
  return { what: `reward vlm (${model} at ${url}), candidate ${item.id},`, signal, code: "REWARD_FAILED" };
}

async function ask(item: RewardItem, settings: VlmOptions, context: RewardContext): Promise<number> {
  const about = asking(item, settings, context);
  const tokens = await firstTokens(item.image, withPrompt(settings.question, item), settings, about);
  const share = shareOfYes(tokens);
  if (share !== null) return share;
  throw new TtsVarError(
    "REWARD_FAILED",
    `${about.what} gave neither yes nor no among its likely answers; change the question`,
  );
}

function questionsFor(item: RewardItem, given: "metadata" | Questions): Questions {
  if (given !== "metadata") {
    return given.map((row) => ({ ...row, question: withPrompt(row.question, item) }));
  }
  const parsed = questionList.safeParse(item.metadata["questions"]);
  if (parsed.success) return parsed.data;
  throw new TtsVarError(
    "REWARD_FAILED",
    `reward vlm: the row of "${item.prompt}" has no questions [{question, expected, skill, parent}] (${z.prettifyError(parsed.error)}); use a benchmark that has them (geneval-2, dpg), or list them in the option`,
  );
}

function withPrompt(text: string, item: RewardItem): string {
  return text.replaceAll("{prompt}", () => item.prompt);
}

function detailsOf(atoms: readonly Atom[]): Record<string, unknown> {
  const failed = atoms.filter(({ p }) => !likely(p));
  const reason = failed.map(({ question, expected, p }) => `${question} ${expected}: ${p.toFixed(2)}`);
  return { correct: failed.length === 0, reason: reason.join("\n"), atoms };
}

function traitsOf(settings: VlmOptions): RewardTraits {
  const { questions, aggregate, model, flops } = settings;
  const asked = questions === undefined ? settings.question : JSON.stringify([aggregate, questions]);
  return {
    name: "vlm",
    version: `1+${model}+${asked}`,
    ...facts.vlm,
    ...(questions === undefined ? {} : { atoms: true }),
    flops,
    modelId: endpointId(settings),
  };
}
