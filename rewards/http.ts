import { z } from "zod";
import { TtsVarError } from "../src/core/errors.ts";
import type { RewardDefinition } from "../src/core/plugin.ts";
import type { RewardItem, RewardTraits } from "../src/core/reward.ts";
import { longestPostMs, postJson } from "../src/io/post-json.ts";
import { pngBase64 } from "./parts/png.ts";

const options = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .describe("address of the server; /score is added to an address without a path"),
  version: z
    .string()
    .min(1)
    .default("1")
    .describe("change it when the server's scores change: remembered ones are then not used"),
  direction: z.enum(["higher", "lower"]).default("higher"),
  suggestedLambda: z.number().positive().default(10),
  flops: z.number().nonnegative().default(0).describe("FLOPs per image to charge to the budget"),
  timeoutMs: z.number().positive().default(60_000),
  retries: z.int().min(0).max(10).default(2),
  maxBatch: z.int().positive().default(16),
});
type HttpOptions = z.output<typeof options>;

/** What a server answers. Details, if any, one per item. */
const answerSchema = z.object({
  scores: z.array(z.number().nullable()),
  details: z.array(z.record(z.string(), z.unknown()).nullable()).optional(),
});

/** One item of the request, as `examples/reward-server.py` reads it. */
interface WireItem {
  readonly id: string;
  readonly prompt: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly imagePngBase64: string;
}

/**
 * A reward behind HTTP, in any language: `POST /score` with `{schemaVersion: 1, items: [{id, prompt, metadata,
 * imagePngBase64}]}`, answered by `{scores: [number or null], details?: [object or null]}` in the same order.
 */
export const http: RewardDefinition<HttpOptions> = {
  name: "http",
  summary: "scores from a server that speaks the POST /score contract",
  license: "the server's",
  options,
  traits: async (settings) => traitsOf(settings),
  create(settings) {
    const url = addressOf(settings.url);
    const what = `reward ${settings.url}`;
    return {
      ...traitsOf(settings),
      maxBatch: settings.maxBatch,
      timeoutMs: longestPostMs(settings) + 1000,
      async score(batch, { signal }) {
        const items = await Promise.all(batch.map(toWire));
        const answer = await postJson(url, { schemaVersion: 1, items }, { ...settings, what, signal });
        const parsed = answerSchema.safeParse(answer);
        if (!parsed.success) {
          throw new TtsVarError(
            "REWARD_FAILED",
            `${what} answered in another form than {"scores": [numbers], "details": [objects]}: ${z.prettifyError({ issues: parsed.error.issues.slice(0, 8) })}`,
          );
        }
        const { scores, details } = parsed.data;
        return { scores, ...(details && { details: details.map((detail) => detail ?? undefined) }) };
      },
      async [Symbol.asyncDispose]() {},
    };
  },
};

async function toWire({ id, prompt, metadata, image }: RewardItem): Promise<WireItem> {
  return { id, prompt, metadata, imagePngBase64: await pngBase64(image) };
}

function addressOf(given: string): string {
  const url = new URL(given);
  if (url.pathname === "/") url.pathname = "/score";
  return url.href;
}

function traitsOf(settings: HttpOptions): RewardTraits {
  return {
    name: settings.url,
    version: settings.version,
    direction: settings.direction,
    range: null,
    suggestedLambda: settings.suggestedLambda,
    flops: settings.flops,
    license: "the server's",
    source: settings.url,
  };
}
