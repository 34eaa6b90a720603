import { basename, extname } from "node:path";
import { z } from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { StandardSchema } from "../core/standard-schema.ts";

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
  atoms: z.boolean().optional(),
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

/**
 * Validates a plug-in's options with the plug-in's own schema.
 *
 * @param what the plug-in as the user knows it: `reward clip`
 * @throws CONFIG_INVALID listing every problem with its path
 */
export async function parseOptions<Options>(
  schema: StandardSchema<Options>,
  options: unknown,
  what: string,
): Promise<Options> {
  const result = await schema["~standard"].validate(options ?? {});
  if (result.issues === undefined) return result.value;
  const problems = result.issues.map(({ message, path }) => {
    const keys = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part));
    return keys.length > 0 ? `${keys.join(".")}: ${message}` : message;
  });
  throw new TtsVarError("CONFIG_INVALID", `options of ${what}: ${problems.join("; ")}`, {
    details: { problems },
  });
}

/**
 * Runs a plug-in's factory.
 * @throws PLUGIN_INVALID naming the plug-in when the factory throws; coded errors pass unchanged
 */
export async function runFactory<T>(run: () => T | Promise<T>, what: string): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof TtsVarError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    throw new TtsVarError("PLUGIN_INVALID", `${what}: its factory failed: ${message}`, { cause: error });
  }
}

/**
 * Where in a plug-in's own file an error arose, as ` (my-reward.mjs:3:11)`; empty if the stack does not say, or for
 * TypeScript, of which only a transpiled text is known.
 */
export function placeOf(error: unknown, path: string): string {
  const stack = error instanceof Error ? error.stack : undefined;
  if (stack === undefined || !/^\.[mc]?js$/.test(extname(path))) return "";
  for (const line of stack.split("\n")) {
    const at = line.indexOf(path);
    const position = at < 0 ? null : /^(?:\?\w+)?(:\d+:\d+)/.exec(line.slice(at + path.length));
    if (position) return ` (${basename(path)}${position[1]})`;
  }
  return "";
}
