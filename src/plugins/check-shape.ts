import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";

const functionOf = (words: string) =>
  z.custom<(...args: never[]) => unknown>((value) => typeof value === "function", {
    error: `must be a function ${words}`,
  });
const identity = { name: z.string().min(1).optional(), version: z.string().min(1).optional() };
const flops = z.number().nonnegative().optional();
const timeoutMs = z.number().positive().optional();

/** What an object returned or exported by a plug-in must look like; extra properties are its own business. */
export const rewardShape = z.object({
  ...identity,
  direction: z.enum(["higher", "lower"], { error: 'must be "higher" or "lower"' }).optional(),
  range: z
    .tuple([z.number(), z.number()])
    .refine(([low, high]) => low < high, "must be [min, max] with min < max")
    .nullable()
    .optional(),
  suggestedLambda: z.number().positive().optional(),
  flops,
  license: z.string().optional(),
  source: z.string().optional(),
  modelId: z.string().optional(),
  maxBatch: z.int().positive().optional(),
  timeoutMs,
  score: functionOf("score(batch, context) that returns one number per item"),
});

export const featureShape = z.object({
  ...identity,
  flops,
  timeoutMs,
  extract: functionOf("extract(images) that returns { patches, summary }"),
});

export const strategyShape = z.object({
  name: z.string().min(1),
  summary: z.string().optional(),
  source: z.string().optional(),
  options: z
    .custom((value) => typeof (value as { "~standard"?: unknown })?.["~standard"] === "object", {
      error: "must be a schema (zod, valibot, arktype: anything with ~standard)",
    })
    .optional(),
  create: functionOf("create(options) that returns a search program"),
});

/**
 * Checks a plug-in's object without copying it (methods may live on a prototype).
 * @throws PLUGIN_INVALID naming the plug-in and every wrong property
 */
export function checkShape(shape: z.ZodType, value: unknown, what: string): void {
  const result = shape.safeParse(value);
  if (result.success) return;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".") || "it"} ${message}`);
  throw new TtsVarError("PLUGIN_INVALID", `${what}: ${problems.join("; ")}`, { details: { problems } });
}
