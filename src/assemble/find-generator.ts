import { existsSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import type { GeneratorDefinition } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import { unknownName } from "../core/registry.ts";
import { generatorFolderOfHub, generatorOfAddress, generatorOfFolder } from "../generators/index.ts";
import { hubId } from "../inference/folder/find-folder.ts";
import { embeddedModelPath, listEmbeddedModels } from "../inference/folder/model-folder.ts";
import { specKind } from "../plugins/load-module.ts";
import { generatorRegistry } from "./builtins.ts";
import { pluginGenerator } from "./plugin-generator.ts";

/** Commands that fetch nothing. */
const HERE: PluginHost = { baseDir: process.cwd(), allowDownload: false, log: () => undefined };

/** A generator that `--model` names. */
export interface FoundGenerator {
  readonly definition: GeneratorDefinition;
  /** Folder of its files; null for generators without weights, or with weights somewhere else. */
  readonly dir: string | null;
}

/**
 * Finds a generator by registry name, by the name of a folder in models/ or zoo/, by path, as a plug-in (`./file.mjs`,
 * `npm:package`), by a server's address, or by a hub's id (`owner/name`) where no such folder exists.
 *
 * @param host     folder against which relative paths are resolved, and whether weights may be fetched
 * @param settings `model.options`, which may decide which files are needed
 * @throws TtsVarError PLUGIN_UNKNOWN with a suggestion, MODEL_NOT_FOUND, MODEL_INVALID for a model that is no generator,
 *   PLUGIN_INVALID
 */
export async function findGenerator(
  model: string,
  host: PluginHost = HERE,
  settings?: unknown,
): Promise<FoundGenerator> {
  const { baseDir } = host;
  if (generatorRegistry.has(model)) {
    const definition = await generatorRegistry.load(model);
    return { definition, dir: model === "embedded" ? await embeddedModelPath("generator") : null };
  }
  const kind = specKind(model);
  if (kind === "http") return { definition: await generatorOfAddress(model), dir: null };
  if (kind === "package" || /^\.[cm]?[jt]s$/.test(extname(model))) {
    return { definition: await pluginGenerator(model, baseDir), dir: null };
  }
  if (/[/\\]|^\.\.?$/.test(model)) {
    const local = resolve(baseDir, model);
    const remote = hubId.test(model) && !model.startsWith(".") && !existsSync(local);
    const dir = remote ? await generatorFolderOfHub(model, settings, host) : local;
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
