import { readFile } from "node:fs/promises";
import { TtsVarError } from "../../core/errors.ts";

/**
 * A JSON object of a model folder.
 *
 * @throws TtsVarError MODEL_NOT_FOUND if there is no such file, MODEL_INVALID if it is no JSON
 */
export async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, "utf8").catch(() => {
    throw new TtsVarError("MODEL_NOT_FOUND", `${path} is missing; copy the model folder again`);
  });
  return parseJson(text, path);
}

/** The same of a text that was read already. @throws TtsVarError MODEL_INVALID */
export function parseJson(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "is not valid JSON", cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw invalid(path, "holds no JSON object");
}

function invalid(path: string, problem: string, cause?: unknown): TtsVarError {
  return new TtsVarError("MODEL_INVALID", `${path} ${problem}; copy the model folder again`, { cause });
}
