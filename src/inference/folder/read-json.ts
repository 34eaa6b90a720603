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
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new TtsVarError("MODEL_INVALID", `${path} is not valid JSON; copy the model folder again`, {
      cause,
    });
  }
}
