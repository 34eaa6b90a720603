import { TtsVarError } from "../core/errors.ts";
import type { FeatureExtractor, ImageFeatures } from "../core/features.ts";
import type { RgbImage } from "../core/image.ts";
import {
  type FeatureDefinition,
  type FeatureDraft,
  type FeatureFactory,
  factoryMark,
  type PluginHost,
} from "../core/plugin.ts";
import { sizeOf } from "../core/tensor.ts";
import { checkShape, featureShape, parseOptions, runFactory } from "./check-shape.ts";
import { type LoadedModule, type LoadedPlugin, loadModule } from "./load-module.ts";

/** An extractor as a plug-in gives it, with the time that one call may take. */
export interface PluginFeatures extends FeatureExtractor {
  readonly timeoutMs?: number;
}

/**
 * Loads a feature extractor from a module in the calling thread: `./file.mjs|js|cjs|ts` or `npm:package`. A default export is a factory marked
 * by `defineFeatures`, a definition (`create`), an extractor (`extract`), or the shorthand
 * `export default async (images) => images.map((image) => [numbers])`, one vector per image.
 *
 * @throws PLUGIN_INVALID, CONFIG_INVALID
 */
export async function featuresFromModule(
  spec: string,
  options: unknown,
  host: PluginHost,
): Promise<LoadedPlugin<PluginFeatures>> {
  const module = await loadModule("features", spec, host.baseDir);
  const what = `features plug-in ${spec}`;
  const draft = await draftOf(module, options, host, what);
  checkShape(featureShape, draft, what);
  const hash = module.provenance.identity;
  const name = draft.name ?? module.name;
  const value: PluginFeatures = {
    name,
    version: draft.version === undefined ? hash : `${draft.version}+${hash}`,
    flops: draft.flops ?? 0,
    ...(draft.timeoutMs === undefined ? {} : { timeoutMs: draft.timeoutMs }),
    extract: async (images) => checked(await draft.extract(images), images, name),
    [Symbol.asyncDispose]: async () => {
      await draft[Symbol.asyncDispose]?.();
    },
  };
  return { value, provenance: module.provenance };
}

async function draftOf(
  module: LoadedModule,
  options: unknown,
  host: PluginHost,
  what: string,
): Promise<FeatureDraft> {
  const { value } = module;
  if (typeof value === "function") {
    if (factoryMark in value) {
      return runFactory(() => (value as unknown as FeatureFactory<unknown>)(options ?? {}, host), what);
    }
    return { extract: value as FeatureDraft["extract"] };
  }
  if (typeof value === "object" && value !== null) {
    if ("create" in value && typeof value.create === "function") {
      const definition = value as FeatureDefinition;
      const parsed = definition.options ? await parseOptions(definition.options, options, what) : options;
      return runFactory(() => definition.create(parsed, host), what);
    }
    return value as FeatureDraft;
  }
  throw new TtsVarError(
    "PLUGIN_INVALID",
    `${what}: the default export is a ${typeof value}, not a function; write "export default async (images) => images.map(...)"`,
  );
}

/** Accepts `{ patches, summary }` or one vector per image. @throws MODEL_RUNTIME for shapes that do not fit the images */
function checked(result: unknown, images: readonly RgbImage[], name: string): ImageFeatures {
  const fail = (problem: string) => new TtsVarError("MODEL_RUNTIME", `features ${name} returned ${problem}`);
  if (Array.isArray(result)) {
    const rows = result as ArrayLike<number>[];
    if (rows.length !== images.length) throw fail(`${rows.length} vectors for ${images.length} images`);
    const dim = rows[0]?.length ?? 0;
    if (dim === 0 || rows.some((row) => row.length !== dim))
      throw fail("vectors of different or zero length");
    const data = Float32Array.from(rows.flatMap((row) => Array.from(row)));
    return {
      patches: { dims: [rows.length, 1, dim], data: finite(data, fail) },
      summary: { dims: [rows.length, dim], data },
    };
  }
  const patches = (result as Partial<ImageFeatures> | null)?.patches;
  if (patches === undefined || !Array.isArray(patches.dims) || patches.dims.length !== 3) {
    throw fail("neither one vector per image nor { patches: { dims: [images, patches, channels], data } }");
  }
  if (patches.dims[0] !== images.length || patches.data.length !== sizeOf(patches.dims)) {
    throw fail(`patches of shape [${patches.dims.join(", ")}] for ${images.length} images`);
  }
  finite(patches.data, fail);
  return { patches, summary: (result as ImageFeatures).summary ?? null };
}

function finite(data: Float32Array, fail: (problem: string) => Error): Float32Array {
  for (const value of data)
    if (!Number.isFinite(value)) throw fail(`the value ${value}; features must be finite`);
  return data;
}
