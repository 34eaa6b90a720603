import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { SearchConfig } from "../config/schema.ts";
import type { FeatureExtractor, FeatureReduction } from "../core/features.ts";
import type { FeatureDefinition, PluginHost } from "../core/plugin.ts";
import { unknownName } from "../core/registry.ts";
import { createFeatureSource, type FeatureSource } from "../engine/feature-source.ts";
import { reductionListings } from "../features/index.ts";
import { modelFlops } from "../inference/folder/model-cost.ts";
import { embeddedModelPath, openModelFolder } from "../inference/folder/model-folder.ts";
import { parseOptions } from "../plugins/check-shape.ts";
import type { KeptPlugins } from "../plugins/kept-plugins.ts";
import { loadFeatures } from "../plugins/load-features.ts";
import { specKind } from "../plugins/load-module.ts";
import { featureRegistry } from "./builtins.ts";

type FeatureConfig = SearchConfig["features"];
/** The surroundings, and where plug-ins wait that were opened to be described. */
export type PlanHost = PluginHost & { readonly kept?: KeptPlugins | undefined };

/**
 * FLOPs per image of a feature source, from manifests alone where it is a model folder.
 *
 * @throws TtsVarError PLUGIN_UNKNOWN, MODEL_NOT_FOUND, PLUGIN_INVALID
 */
export async function featureCost(config: FeatureConfig, host: PlanHost): Promise<{ flops: number }> {
  await findReduction(config.reduction);
  const folder = await folderOf(config.model, host);
  if (folder !== null) {
    return { flops: await modelFlops(await openModelFolder(folder, { verify: false, allowBare: true })) };
  }
  if (host.kept && isPlugin(config.model)) {
    return host.kept.describe(requestOf(config, host), () => openPlugin(config, host));
  }
  const extractor = await openExtractor(config, { ...host, kept: undefined });
  await extractor[Symbol.asyncDispose]();
  return { flops: extractor.flops };
}

/**
 * Opens the encoder that `features.model` names, with its reduction: a registry name, a model folder (CLIP's layout, or
 * one vision transformer such as DINOv2), `./file.mjs` or `npm:package`.
 *
 * @throws as `featureCost`, MODEL_INVALID, MODEL_RUNTIME
 */
export async function openFeatures(
  config: FeatureConfig,
  host: PlanHost,
): Promise<FeatureSource & AsyncDisposable> {
  const reduce = await findReduction(config.reduction);
  const extractor = await openExtractor(config, host);
  return {
    ...createFeatureSource(extractor, config.reduction, reduce),
    [Symbol.asyncDispose]: () => extractor[Symbol.asyncDispose](),
  };
}

const isPlugin = (model: string) => specKind(model) !== "name";
const requestOf = ({ model, options }: FeatureConfig, host: PluginHost) => [
  "features",
  model,
  options,
  host.baseDir,
];
const openPlugin = ({ model, options }: FeatureConfig, host: PluginHost) =>
  loadFeatures(model, options, host);

async function openExtractor(config: FeatureConfig, host: PlanHost): Promise<FeatureExtractor> {
  const { model, options } = config;
  const folder = featureRegistry.has(model) ? null : await folderOf(model, host);
  if (folder === null && isPlugin(model)) {
    const open = () => openPlugin(config, host);
    return (await (host.kept ? host.kept.take(requestOf(config, host), open) : open())).value;
  }
  const definition = folder === null ? await featureRegistry.load(model) : await definitionOf(folder);
  return definition.create(
    (await parseOptions(definition.options, options, `features ${model}`)) as never,
    host,
  );
}

async function definitionOf(folder: string): Promise<FeatureDefinition> {
  const { isVisionFolder, visionFeaturesDefinition } = await import("../features/vision.ts");
  if (isVisionFolder(folder)) return visionFeaturesDefinition(folder) as FeatureDefinition;
  const { dualEncoderDefinition } = await import("../features/dual-encoder.ts");
  return dualEncoderDefinition(folder) as FeatureDefinition;
}

/** The folder whose manifest prices the encoder; null for plug-ins. */
async function folderOf(model: string, host: PluginHost): Promise<string | null> {
  if (/^dual-encoder(-int8)?$/.test(model)) return embeddedModelPath(model);
  const path = resolve(host.baseDir, model);
  return /[/\\]/.test(model) && existsSync(resolve(path, "config.json")) ? path : null;
}

async function findReduction(name: string): Promise<FeatureReduction> {
  const { reductions } = await import("../features/reduce.ts");
  const reduce = Object.hasOwn(reductions, name) ? reductions[name] : undefined;
  if (!reduce)
    throw unknownName(
      "reduction of features",
      name,
      reductionListings.map((listing) => listing.name),
    );
  return reduce;
}
