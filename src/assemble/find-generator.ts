import { basename, resolve } from "node:path";
import { unknownName } from "../core/registry.ts";
import type { SamplerDefinition } from "../generators/definition.ts";
import { samplerOfAddress, samplerOfFolder } from "../generators/index.ts";
import { embeddedModelPath, listEmbeddedModels } from "../inference/folder/model-folder.ts";
import { samplerRegistry } from "./builtins.ts";

/** A generator that `--model` names. */
export interface FoundSampler {
  readonly definition: SamplerDefinition;
  /** Folder of its files; null for samplers without weights, or with weights somewhere else. */
  readonly dir: string | null;
}

/**
 * Finds a generator by registry name, by the name of a folder in models/, by path, or by a server's address.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN with a suggestion, MODEL_NOT_FOUND
 */
export async function findSampler(model: string): Promise<FoundSampler> {
  if (samplerRegistry.has(model)) {
    const definition = await samplerRegistry.load(model);
    return { definition, dir: model === "embedded" ? await embeddedModelPath("generator") : null };
  }
  if (/^https?:\/\//i.test(model)) return { definition: await samplerOfAddress(model), dir: null };
  if (/[/\\]|^\.\.?$/.test(model)) {
    const dir = resolve(model);
    return { definition: await samplerOfFolder(dir), dir };
  }
  const folders = (await listEmbeddedModels()).map(({ dir }) => dir);
  const dir = folders.find((folder) => basename(folder) === model);
  if (dir === undefined) {
    const known = [
      ...samplerRegistry.list().map(({ name }) => name),
      ...folders.map((folder) => basename(folder)),
    ];
    throw unknownName("model", model, known);
  }
  return { definition: await samplerOfFolder(dir), dir };
}
