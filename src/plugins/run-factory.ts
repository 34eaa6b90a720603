import { TtsVarError } from "../core/errors.ts";

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
