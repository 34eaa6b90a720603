import { createHash } from "node:crypto";
import { z } from "zod";
import { type ErrorCode, TtsVarError } from "../../core/errors.ts";
import type { RgbImage } from "../../core/image.ts";
import { encodePng } from "../../io/png.ts";
import { postJson } from "../../io/post-json.ts";

/** Options of every user of an OpenAI-compatible vision-language endpoint, as a zod shape. */
export const endpointShape = {
  url: z
    .url({ protocol: /^https?$/ })
    .describe("base of an OpenAI-compatible API, such as http://localhost:8000/v1"),
  model: z.string().min(1),
  apiKeyVariable: z
    .string()
    .min(1)
    .default("OPENAI_API_KEY")
    .describe("environment variable that holds the key"),
  timeoutMs: z.number().positive().default(60_000),
  retries: z.int().min(0).max(10).default(2),
  concurrency: z.int().positive().max(64).default(4),
};
export const endpointSchema = z.object(endpointShape);
export type VlmEndpoint = z.output<typeof endpointSchema>;

/** Identity of an endpoint's model for labels, `name@sha8`: the hash is the name's, since nobody sees the weights. */
export function endpointId({ model }: Pick<VlmEndpoint, "model">): string {
  const hash = createHash("sha256").update(model).digest("hex").slice(0, 8);
  return `${model.replace(/[@,+\s]+/g, "_")}@${hash}`;
}

/** One of the likeliest first tokens of an answer. */
export interface TokenChance {
  readonly token: string;
  readonly p: number;
}

/** Who asks, for messages, and what becomes of failures. */
export interface Asking {
  readonly what: string;
  readonly signal: AbortSignal;
  readonly code: ErrorCode;
}

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
 * The likeliest first tokens (20 at most, which is all that the API gives) of the answer to a question about an image, with
 * their probabilities at temperature 0. The image travels as a lossless PNG.
 *
 * @throws `asking.code` when the endpoint fails or gives no token probabilities
 */
export async function firstTokens(
  image: RgbImage,
  question: string,
  endpoint: VlmEndpoint,
  asking: Asking,
): Promise<TokenChance[]> {
  const key = process.env[endpoint.apiKeyVariable];
  const png = (await encodePng(image)).toString("base64");
  const body = {
    model: endpoint.model,
    max_tokens: 1,
    temperature: 0,
    logprobs: true,
    top_logprobs: 20,
    messages: [
      {
        role: "user",
        content: [
          { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
          { type: "text", text: question },
        ],
      },
    ],
  };
  const { timeoutMs, retries } = endpoint;
  const answer = await postJson(`${endpoint.url.replace(/\/+$/, "")}/chat/completions`, body, {
    ...asking,
    ...{ timeoutMs, retries },
    headers: key ? { authorization: `Bearer ${key}` } : {},
  });
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success) {
    throw new TtsVarError(
      asking.code,
      `${asking.what} answered without token probabilities; the endpoint must support logprobs and top_logprobs`,
    );
  }
  return parsed.data.choices[0]!.logprobs.content[0]!.top_logprobs.map(({ token, logprob }) => ({
    token,
    p: Math.exp(logprob),
  }));
}
