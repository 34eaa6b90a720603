import { basename, extname, resolve } from "node:path";
import * as z from "zod";
import { TtsVarError } from "../core/errors.ts";
import type { Generator, GeneratorDefinition, GeneratorTraits } from "../core/generator.ts";
import { unknownName } from "../core/registry.ts";
import { generatorOfAddress, generatorOfFolder } from "../generators/index.ts";
import { traitsSchema } from "../generators/traits-schema.ts";
import { embeddedModelPath, listEmbeddedModels } from "../inference/folder/model-folder.ts";
import { loadModule, specKind } from "../plugins/load-module.ts";
import { generatorRegistry } from "./builtins.ts";

/** A generator that `--model` names. */
export interface FoundGenerator {
  readonly definition: GeneratorDefinition;
  /** Folder of its files; null for generators without weights, or with weights somewhere else. */
  readonly dir: string | null;
}

/**
 * Finds a generator by registry name, by the name of a folder in models/, by path, as a plug-in (`./file.mjs`,
 * `npm:package`), or by a server's address.
 *
 * @param baseDir folder against which relative paths are resolved
 * @throws TtsVarError PLUGIN_UNKNOWN with a suggestion, MODEL_NOT_FOUND, MODEL_INVALID for a model that is no generator,
 *   PLUGIN_INVALID
 */
export async function findGenerator(model: string, baseDir = process.cwd()): Promise<FoundGenerator> {
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
    const dir = resolve(baseDir, model);
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

/** A module's default export as a generator. Its version carries the hash of its code, so that an edit is another model. */
async function pluginGenerator(spec: string, baseDir: string): Promise<GeneratorDefinition> {
  const { value, provenance } = await loadModule("generator", spec, baseDir);
  const fail = (problem: string, cause?: unknown): never => {
    throw new TtsVarError("PLUGIN_INVALID", `generator plug-in ${spec}: ${problem}`, { cause });
  };
  const { describe, open } = value as Partial<GeneratorDefinition>;
  if (typeof describe !== "function" || typeof open !== "function") {
    return fail("the default export must have describe() and open(); see docs/add-a-generator.md");
  }
  const definition = value as GeneratorDefinition;
  const guarded = async <Value>(work: () => Promise<Value>): Promise<Value> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TtsVarError) throw error;
      return fail(error instanceof Error ? error.message : String(error), error);
    }
  };
  const checked = (traits: unknown): GeneratorTraits => {
    const parsed = traitsSchema.safeParse(traits);
    if (!parsed.success)
      return fail(`its traits are not those of a generator:\n${z.prettifyError(parsed.error)}`);
    const { refine, ...cost } = parsed.data.cost;
    const version = `${parsed.data.version}+${provenance.identity}`;
    return { ...parsed.data, version, cost: { ...cost, ...(refine === undefined ? {} : { refine }) } };
  };
  const own = (generator: Generator): Generator => {
    const { encode, withSettings } = generator;
    return {
      traits: checked(generator.traits),
      start: (task, ids) => guarded(() => generator.start(task, ids)),
      ...(encode ? { encode: (image) => guarded(() => encode.call(generator, image)) } : {}),
      ...(withSettings
        ? {
            withSettings: async (settings) =>
              own(await guarded(() => withSettings.call(generator, settings))),
          }
        : {}),
      [Symbol.asyncDispose]: async () => generator[Symbol.asyncDispose]?.(),
    };
  };
  return {
    describe: (request) => guarded(async () => checked(await definition.describe(request))),
    open: (request, host) => guarded(async () => own(await definition.open(request, host))),
  };
}
