import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import { type CacheClasses, CLASSES_FILE } from "../generators/next-scale/cache/classes.ts";
import { HeadObserver } from "../generators/next-scale/cache/identify.ts";
import { infinityTraits, openNetwork } from "../generators/next-scale/infinity/open.ts";
import { resolveInfinity } from "../generators/next-scale/infinity/settings.ts";
import { startSession } from "../generators/next-scale/session.ts";
import { findGenerator } from "./find-generator.ts";

/** Where the classes of a model are looked for. @throws TtsVarError CONFIG_INVALID for a model without a cache */
export async function classesPath(model: string): Promise<string> {
  const { dir } = await findGenerator(model);
  const manifest = dir === null ? null : await readFile(join(dir, "manifest.json"), "utf8");
  if (dir !== null && (JSON.parse(manifest!) as { family?: unknown }).family === "infinity") {
    return join(dir, CLASSES_FILE);
  }
  throw new TtsVarError(
    "CONFIG_INVALID",
    `${model} has no folder with a cached step graph; choose a model of the family infinity`,
  );
}

/**
 * Draws one image of each prompt and identifies which layers and heads of a model look back, for the policies of its cache.
 *
 * @param onPrompt told how many prompts are done
 * @throws TtsVarError what finding and opening the model throw
 */
export async function identifyCache(
  model: string,
  prompts: readonly string[],
  onPrompt: (done: number) => void = () => undefined,
): Promise<CacheClasses> {
  const { dir } = await findGenerator(model);
  const observer = new HeadObserver();
  const opened = await openNetwork(dir!, {}, { observe: (seen) => observer.see(seen) });
  try {
    const { manifest, folder } = opened.model;
    const traits = infinityTraits(opened.model);
    const { sampling } = resolveInfinity(opened.model, {});
    for (const [index, prompt] of prompts.entries()) {
      const { network, code } = opened;
      const session = await startSession({ network, code, traits, settings: sampling }, { prompt, seed: 0 }, [
        "c0",
      ]);
      while (session.stage < code.stages) await session.step();
      session.release();
      onPrompt(index + 1);
    }
    const { depth, heads } = manifest.architecture;
    return observer.classes(folder.modelId, prompts.length, { depth, heads });
  } finally {
    await opened.close();
  }
}
