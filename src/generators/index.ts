import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { TtsVarError } from "../core/errors.ts";
import type { GeneratorDefinition } from "../core/generator.ts";
import type { PluginHost } from "../core/plugin.ts";
import { type Listing, unknownName } from "../core/registry.ts";

/** A built-in generator: what `tts-var list generators` shows, and its lazily imported definition. */
export interface GeneratorEntry extends Listing {
  load(): Promise<GeneratorDefinition>;
}

/** Generators by name. Nothing is imported before one is asked for. */
export const generators: readonly GeneratorEntry[] = [
  {
    name: "embedded",
    summary: "the generator that ships with the package: icon scenes at 64 pixels",
    source: "Han et al. 2024 (Infinity), trained in training/",
    async load() {
      const { embeddedModelPath } = await import("../inference/folder/model-folder.ts");
      return generatorOfFolder(await embeddedModelPath("generator"));
    },
  },
  {
    name: "code",
    summary:
      "two models that draw together: one drafts the coarse scales, a small one refines (options drafter, refiner, at)",
    source: "Chen et al. 2024 (CoDe)",
    load: async () => (await import("./next-scale/code/definition.ts")).codeDefinition,
  },
  {
    name: "toy",
    summary: "coloured blocks by scales, without weights, with a known best picture for every prompt",
    load: async () => (await import("./next-scale/toy/definition.ts")).toyDefinition,
  },
  {
    name: "toy-canvas",
    summary: "a canvas of colours revealed in groups, with looks ahead; without weights, best picture known",
    load: async () => (await import("./toys/canvas.ts")).canvasDefinition,
  },
  {
    name: "toy-clip",
    summary: "a clip frame by frame, with noise for each candidate; without weights, best clip known",
    load: async () => (await import("./toys/clip.ts")).clipDefinition,
  },
];

/** Systems by the family that a model folder's manifest names. A further one is a line here, and a folder of its own. */
const FAMILIES = new Map<string, (dir: string) => Promise<GeneratorDefinition>>([
  ["infinity", async (dir) => (await import("./next-scale/infinity/definition.ts")).infinityDefinition(dir)],
  ["hmar", async (dir) => (await import("./next-scale/hmar/definition.ts")).hmarDefinition(dir)],
  [
    "discrete-diffusion",
    async (dir) => (await import("./discrete-diffusion/definition.ts")).discreteDiffusionDefinition(dir),
  ],
  ["varedit", async (dir) => (await import("./next-scale/varedit/definition.ts")).editorDefinition(dir)],
  ["flexvar", async (dir) => (await import("./next-scale/flexvar/definition.ts")).flexvarDefinition(dir)],
  ["var", async (dir) => (await import("./next-scale/var/definition.ts")).varDefinition(dir)],
  [
    "ordered-groups",
    async (dir) => (await import("./ordered/nar/definition.ts")).orderedGroupsDefinition(dir),
  ],
  ["masked-set", async (dir) => (await import("./masked-set/definition.ts")).maskedSetDefinition(dir)],
  ["frames", async (dir) => (await import("./frames/definition.ts")).framesDefinition(dir)],
  [
    "masked-cascade",
    async (dir) => (await import("./masked-set/cascade/definition.ts")).cascadeDefinition(dir),
  ],
  ["block-flow", async (dir) => (await import("./block-flow/definition.ts")).blockFlowDefinition(dir)],
]);

/** Systems whose folders come from a hub, without a manifest of ours, by `model_type` of their config.json. */
const HUB_TYPES = new Map<string, HubFamily>([["multi_modality", janusFamily()]]);

interface HubFamily {
  define(dir: string): Promise<GeneratorDefinition>;
  /** Files of a repository that a generator with these settings needs. */
  files(paths: readonly string[], settings: unknown, where: string): Promise<readonly string[]>;
}

function janusFamily(): HubFamily {
  return {
    define: async (dir) => (await import("./ordered/janus/definition.ts")).janusDefinition(dir),
    async files(paths, settings, where) {
      const [{ chooseGraphs, filesOf }, { parseJanusSettings }] = await Promise.all([
        import("./ordered/janus/files.ts"),
        import("./ordered/janus/settings.ts"),
      ]);
      return filesOf(chooseGraphs(paths, parseJanusSettings(settings).dtype ?? null, where), paths);
    },
  };
}

/** @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID for a model of a hub that is no generator */
async function hubFamilyOf(dir: string): Promise<HubFamily> {
  const { readJson } = await import("../inference/folder/read-json.ts");
  const { model_type: type } = await readJson(join(dir, "config.json"));
  const family = HUB_TYPES.get(String(type));
  if (family) return family;
  throw new TtsVarError(
    "MODEL_INVALID",
    `${dir} holds a model of type ${String(type)} (config.json), which is no generator that this version knows; it knows ${[...HUB_TYPES.keys()].join(", ")}, and exported folders with a manifest.json`,
  );
}

/**
 * A generator's folder from a model hub, by its id `owner/name[@revision]`: from the cache, or fetched if that is allowed.
 *
 * @param settings `model.options`; they decide which files are needed
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID, OUTPUT_UNWRITABLE; see `hubFolder`
 */
export async function generatorFolderOfHub(id: string, settings: unknown, host: PluginHost): Promise<string> {
  const { hubFolder, hubPaths } = await import("../inference/folder/hub.ts");
  const { allowDownload } = host;
  const log = (level: "info" | "warn", message: string): void => host.log(level, message);
  // config.json says what it is, and so which files of many are needed.
  const first = await hubFolder({ id, allowDownload, log, wanted: (path) => path === "config.json" });
  const family = await hubFamilyOf(first);
  const paths = await hubPaths(first);
  const wanted = new Set(await family.files(paths, settings, id));
  return hubFolder({ id, allowDownload, log, wanted: (path) => wanted.has(path) });
}

/**
 * The generator of a model folder, by the family that its manifest names, or by what a hub's config.json says.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID when it holds something else, PLUGIN_UNKNOWN for a family that this
 *   version does not have
 */
export async function generatorOfFolder(dir: string): Promise<GeneratorDefinition> {
  const has = (name: string): boolean => existsSync(join(dir, name));
  // Hubs keep graphs in a folder of their own; beside config.json they are an export that did not finish.
  const bare =
    has("config.json") && !has("manifest.json") && !readdirSync(dir).some((name) => name.endsWith(".onnx"));
  if (bare) return (await hubFamilyOf(dir)).define(dir);
  const { openModelFolder } = await import("../inference/folder/model-folder.ts");
  const { name, manifest } = await openModelFolder(dir, { verify: false });
  const { family, kind } = manifest as { family?: unknown; kind?: unknown };
  if (typeof family !== "string") {
    const what = typeof kind === "string" ? `a ${kind}` : "a model without a family";
    throw new TtsVarError(
      "MODEL_INVALID",
      `${name} (${dir}) is ${what}, no generator; see \`tts-var list models\``,
      {
        details: { dir, kind: kind ?? null },
      },
    );
  }
  const define = FAMILIES.get(family);
  if (!define) throw unknownName("family of generators", family, [...FAMILIES.keys()]);
  return define(dir);
}

/** The generator behind a server's address, or behind those of several servers: `http://a:8710,http://b:8710`. */
export async function generatorOfAddress(spec: string): Promise<GeneratorDefinition> {
  const { remoteDefinition } = await import("./remote/definition.ts");
  const { addressesOf, manyServers } = await import("./remote/many-servers.ts");
  const servers = addressesOf(spec).map((name) => ({ name, generator: remoteDefinition(name) }));
  return servers.length === 1 ? servers[0]!.generator : manyServers(servers);
}
