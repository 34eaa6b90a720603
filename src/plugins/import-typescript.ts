import { pathToFileURL } from "node:url";

/**
 * Imports a TypeScript module: natively where the running Node or a registered loader can, else through the optional
 * package jiti. Types are stripped, not checked.
 */
export async function importTypeScript(
  path: string,
  fail: (problem: string, cause?: unknown) => Error,
): Promise<unknown> {
  const { href } = pathToFileURL(path);
  return import(href).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ERR_UNKNOWN_FILE_EXTENSION") throw error;
    const { createJiti } = await import("jiti").catch((cause: unknown) => {
      throw fail(
        "TypeScript on this Node needs jiti: npm install jiti (or write the plug-in as .mjs)",
        cause,
      );
    });
    return createJiti(href, { fsCache: false }).import(path);
  });
}
