import type * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import { nearest } from "../core/registry.ts";

/** Where settings stand in a configuration. */
const PLACE = "model.options";

/**
 * A family's settings, checked by its own schema.
 *
 * @param given `model.options` as configured
 * @throws TtsVarError CONFIG_INVALID with every problem and its place
 */
export function parseSettings<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  given: unknown,
): z.output<z.ZodObject<Shape>> {
  const parsed = schema.safeParse(given ?? {});
  if (parsed.success) return parsed.data;
  const known = Object.keys(schema.shape);
  const problems = parsed.error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => unknownSetting(key, known));
    const path = [PLACE, ...issue.path].join(".");
    return [`${path}: ${issue.message.replace(/^Invalid input: expected/, "must be")}`];
  });
  throw new TtsVarError("CONFIG_INVALID", problems.join("; "), { details: { problems } });
}

function unknownSetting(key: string, known: readonly string[]): string {
  const close = nearest(key, known);
  const hint =
    known.length === 0
      ? "it has no settings"
      : close === undefined
        ? `it knows ${known.join(", ")}`
        : `did you mean "${close}"?`;
  return `${PLACE}.${key}: this generator has no such setting; ${hint}`;
}
