import { basename, resolve } from "node:path";
import { unknownName } from "../core/registry.ts";
import type { GeneratorDefinition } from "../generators/definition.ts";
import { generatorOfAddress, generatorOfFolder } from "../generators/index.ts";
import { embeddedModelPath, listEmbeddedModels } from "../inference/folder/model-folder.ts";
import { generatorRegistry } from "./builtins.ts";

/** A generator that `--model` names. */
export interface FoundGenerator {
  readonly definition: GeneratorDefinition;
  /** Folder of its files; null for generators without weights, or with weights somewhere else. */
  readonly dir: string | null;
}

/**
 * Finds a generator by registry name, by the name of a folder in models/, by path, or by a server's address.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN with a suggestion, MODEL_NOT_FOUND
 */
export async function findGenerator(model: string): Promise<FoundGenerator> {
  if (generatorRegistry.has(model)) {
    const definition = await generatorRegistry.load(model);
    return { definition, dir: model === "embedded" ? await embeddedModelPath("generator") : null };
  }
  if (/^https?:\/\//i.test(model)) return { definition: await generatorOfAddress(model), dir: null };
  if (/[/\\]|^\.\.?$/.test(model)) {
    const dir = resolve(model);
    return { definition: await generatorOfFolder(dir), dir };
  }
  const folders = (await listEmbeddedModels()).map(({ dir }) => dir);
  const dir = folders.find((folder) => basename(folder) === model);
  if (dir === undefined) {
    const known = [
      ...generatorRegistry.list().map(({ name }) => name),
      ...folders.map((folder) => basename(folder)),
    ];
    throw unknownName("model", model, known);
  }
  return { definition: await generatorOfFolder(dir), dir };
}
