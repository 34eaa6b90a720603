import { pathToFileURL } from "node:url";

/**
 * Imports a TypeScript module: natively where the running Node can, else through the optional package jiti. Types are
 * stripped, not checked. What the module imports in turn is loaded natively where that works, so that it shares this
 * process's own modules.
 */
export async function importTypeScript(
  path: string,
  fail: (problem: string, cause?: unknown) => Error,
): Promise<unknown> {
  const { href } = pathToFileURL(path);
  if ((process.features as { typescript?: unknown }).typescript) return import(href);
  const { createJiti } = await import("jiti").catch((cause: unknown) => {
    throw fail("TypeScript on this Node needs jiti: npm install jiti (or write the plug-in as .mjs)", cause);
  });
  return createJiti(href, { fsCache: false, tryNative: true }).import(path);
}
