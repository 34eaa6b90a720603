import { join } from "node:path";
import { Disposal } from "../../../core/disposal.ts";
import {
  type Generator,
  type GeneratorHost,
  type GeneratorRequest,
  type GeneratorTraits,
  type ShapeWish,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Tokens } from "../../../core/tokens.ts";
import { type ModelFolder, openModelFolder } from "../../../inference/folder/model-folder.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../../inference/runtime/tokenizer.ts";
import { BitCode } from "../bit-code.ts";
import { bitGenerator } from "../bit-generator.ts";
import { createEncoder } from "../encode.ts";
import { tokenKindOf } from "../session.ts";
import { resolveSettings } from "../settings.ts";
import { infinityCost } from "./cost.ts";
import { GraphNetwork, type InfinityParts } from "./graph-network.ts";
import {
  findSchedule,
  type InfinityManifest,
  infinityManifest,
  type Schedule,
  scheduleShape,
} from "./manifest.ts";
import { infinityMemory } from "./memory.ts";
import { readSidecar } from "./sidecar.ts";

export interface InfinityOptions extends Pick<GeneratorHost, "threads" | "rowsAtOnce"> {
  /** Folder for the runtime's profiles, one per graph; see `OrtOptions`. */
  readonly profile?: string;
}

/** A model folder read as far as planning needs. */
export interface InfinityModel {
  readonly folder: ModelFolder;
  readonly manifest: InfinityManifest;
  readonly schedule: Schedule;
}

/**
 * Reads a model folder of the Infinity family without loading weights.
 *
 * @param verify also compare all files with their hashes
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID
 */
export async function readInfinity(
  dir: string,
  shape: ShapeWish = {},
  verify = false,
): Promise<InfinityModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = infinityManifest(folder);
  return { folder, manifest, schedule: findSchedule(manifest, shape) };
}

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function infinityTraits(
  { folder, manifest, schedule }: InfinityModel,
  given?: unknown,
): GeneratorTraits {
  const settings = resolveSettings(manifest.sampling, given, schedule.scales.length);
  const { id, width, height } = scheduleShape(manifest, schedule);
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: { id, width, height, frames: 1, grain: manifest.image.stride },
    stages: schedule.scales.map(([h, w], index) => ({ index, label: `${h}x${w}`, tokens: h * w, final: 1 })),
    tokens: tokenKindOf(createCode(manifest, schedule)),
    looks: ["now"],
    can: [
      "keep",
      "log-prob",
      "negative-prompt",
      ...(manifest.graphs.vae_encode === undefined ? [] : (["encode"] as const)),
    ],
    cost: infinityCost(manifest, schedule, settings),
    memory: infinityMemory(manifest, schedule, settings),
    settings: { ...settings },
  };
}

function createCode(manifest: InfinityManifest, schedule: Schedule): BitCode {
  const { codeChannels: channels, patchify } = manifest.architecture;
  const { scales } = schedule;
  const flat = new Array<number>(channels).fill(1 / Math.sqrt(channels));
  return new BitCode({
    scales,
    channels,
    patchify,
    magnitude: manifest.codeMagnitude ?? scales.map(() => flat),
  });
}

/** The network of a model folder with its arithmetic, below the level of sessions. */
export interface OpenNetwork {
  readonly model: InfinityModel;
  readonly network: GraphNetwork;
  readonly code: BitCode;
  /** Tokens of an image of the schedule's size; absent if the folder has no encoder. */
  readonly encode?: (image: RgbImage) => Promise<Tokens[]>;
  close(): Promise<void>;
}

/**
 * Loads weights on the calling thread. All files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function openNetwork(
  dir: string,
  shape: ShapeWish = {},
  options: InfinityOptions = {},
): Promise<OpenNetwork> {
  const model = await readInfinity(dir, shape, true);
  const { folder, manifest, schedule } = model;
  const disposal = new Disposal();
  const { threads, profile } = options;
  const open = async ({ file }: { readonly file: string }): Promise<OrtSession> => {
    const session = await openOrtSession(join(folder.dir, file), {
      ...(threads === undefined ? {} : { threads }),
      ...(profile === undefined ? {} : { profile: join(profile, file) }),
    });
    return disposal.use(session);
  };
  const parts = await disposal.during(() => openParts(folder, manifest, open));
  const code = createCode(manifest, schedule);
  const encoder = manifest.graphs.vae_encode;
  return {
    model,
    network: new GraphNetwork(parts, schedule, options.rowsAtOnce),
    code,
    ...(encoder ? { encode: createEncoder(() => open(encoder), code, manifest.image.stride) } : {}),
    close: () => disposal[Symbol.asyncDispose](),
  };
}

/** Loads a generator of the Infinity family on the calling thread; see `openNetwork`. */
export async function loadInfinity(
  dir: string,
  { shape, settings }: GeneratorRequest = {},
  options: InfinityOptions = {},
): Promise<Generator> {
  // Wrong settings are told before anything is loaded.
  infinityTraits(await readInfinity(dir, shape), settings);
  const { model, network, code, encode, close } = await openNetwork(dir, shape, options);
  return bitGenerator(
    {
      code,
      under: (given) => ({
        traits: infinityTraits(model, given),
        settings: resolveSettings(model.manifest.sampling, given, code.stages),
        network,
      }),
      ...(encode ? { encode } : {}),
      close,
    },
    settings,
  );
}

async function openParts(
  { dir }: ModelFolder,
  manifest: InfinityManifest,
  open: (graph: { readonly file: string }) => Promise<OrtSession>,
): Promise<InfinityParts> {
  const { graphs, architecture } = manifest;
  return {
    manifest,
    sidecar: await readSidecar(dir, manifest.sidecar),
    tokenizer: await loadTokenizer(dir, architecture.textMaxLength),
    textEncoder: await open(graphs.text_encoder),
    condition: await open(graphs.condition),
    step: await open(graphs.step),
    decoder: await open(graphs.vae_decode),
  };
}
