import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardContext, RewardItem, RewardTraits } from "../src/core/reward.ts";
import { facts } from "./parts/facts.ts";
import { pngBase64 } from "./parts/png.ts";
import { longestPostMs, postJson } from "./parts/post-json.ts";

const options = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .describe("base of an OpenAI-compatible API, such as http://localhost:8000/v1"),
  model: z.string().min(1),
  question: z
    .string()
    .refine((text) => text.includes("{prompt}"), "must contain {prompt}")
    .default('Does this figure show "{prompt}"? Please answer yes or no.'),
  apiKeyVariable: z
    .string()
    .min(1)
    .default("OPENAI_API_KEY")
    .describe("environment variable that holds the key"),
  flops: z.number().nonnegative().default(0).describe("FLOPs per image to charge to the budget"),
  timeoutMs: z.number().positive().default(60_000),
  retries: z.int().min(0).max(10).default(2),
  concurrency: z.int().positive().max(64).default(4),
});
type VlmOptions = z.output<typeof options>;

const answerSchema = z.object({
  choices: z
    .array(
      z.object({
        logprobs: z.object({
          content: z
            .array(z.object({ top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number() })) }))
            .min(1),
        }),
      }),
    )
    .min(1),
});

/**
 * P(yes) / (P(yes) + P(no)) of the first answer token of a vision-language model, over all spellings of both words.
 *
 * Source: Lin et al. 2024 (VQAScore: the question and the use of the answer's probability).
 */
export const vlm: RewardDefinition<VlmOptions> = {
  name: "vlm",
  summary: "probability of yes from an OpenAI-compatible vision endpoint",
  license: facts.vlm.license,
  options,
  traits: async (settings) => traitsOf(settings),
  create(settings) {
    return {
      ...traitsOf(settings),
      // The host hands over as many as are asked at once.
      maxBatch: settings.concurrency,
      timeoutMs: longestPostMs(settings) + 1000,
      async score(batch, context) {
        return { scores: await Promise.all(batch.map((item) => ask(item, settings, context))) };
      },
      async [Symbol.asyncDispose]() {},
    };
  },
};

async function ask(item: RewardItem, settings: VlmOptions, { signal }: RewardContext): Promise<number> {
  const what = `reward vlm (${settings.model} at ${settings.url}), candidate ${item.id},`;
  const key = process.env[settings.apiKeyVariable];
  const body = {
    model: settings.model,
    max_tokens: 1,
    temperature: 0,
    logprobs: true,
    top_logprobs: 20,
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${await pngBase64(item.image)}` } },
          { type: "text", text: settings.question.replaceAll("{prompt}", () => item.prompt) },
        ],
      },
    ],
  };
  const headers: Record<string, string> = key ? { authorization: `Bearer ${key}` } : {};
  const answer = await postJson(`${settings.url.replace(/\/+$/, "")}/chat/completions`, body, {
    ...settings,
    what,
    headers,
    signal,
  });
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success) {
    throw new TtsVarError(
      "REWARD_FAILED",
      `${what} answered without token probabilities; the endpoint must support logprobs and top_logprobs`,
    );
  }
  const probability = { yes: 0, no: 0 };
  for (const { token, logprob } of parsed.data.choices[0]!.logprobs.content[0]!.top_logprobs) {
    const word = token.replace(/[^a-z]/gi, "").toLowerCase();
    if (word === "yes" || word === "no") probability[word] += Math.exp(logprob);
  }
  const total = probability.yes + probability.no;
  if (total === 0) {
    throw new TtsVarError(
      "REWARD_FAILED",
      `${what} gave neither yes nor no among its likely answers; change the question`,
    );
  }
  return probability.yes / total;
}

function traitsOf(settings: VlmOptions): RewardTraits {
  return {
    name: "vlm",
    version: `1+${settings.model}+${settings.question}`,
    ...facts.vlm,
    flops: settings.flops,
    modelId: settings.model,
  };
}
