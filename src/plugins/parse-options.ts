import { TtsVarError } from "../core/errors.ts";
import type { StandardSchema } from "../core/standard-schema.ts";

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
