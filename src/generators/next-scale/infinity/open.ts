import { join } from "node:path";
import { Disposal } from "../../../core/disposal.ts";
import type { Generator } from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import { type ModelFolder, openModelFolder } from "../../../inference/folder/model-folder.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../../inference/runtime/tokenizer.ts";
import type { ShapeWish } from "../../choose-shape.ts";
import { type GeneratorTraits, perScale } from "../../definition.ts";
import { BitCode } from "../bit-code.ts";
import { createEncoder } from "../encode.ts";
import { startSession } from "../session.ts";
import { infinityCost } from "./cost.ts";
import { type InfinityParts, StageGraph } from "./graph-network.ts";
import { findSchedule, type InfinityManifest, infinityManifest, type Schedule } from "./manifest.ts";
import { infinityMemory } from "./memory.ts";
import { readSidecar } from "./sidecar.ts";

export interface InfinityOptions {
  /** Aspect ratio and size; default: the first schedule of the manifest. */
  readonly shape?: ShapeWish;
  readonly threads?: number;
  /** See `OpenGeneratorOptions`. */
  readonly rowsAtOnce?: readonly number[];
  /** Folder for the runtime's profiles, one per graph; see `OrtOptions`. */
  readonly profile?: string;
}

/** A model folder read as far as planning needs. */
export interface InfinityModel {
  readonly folder: ModelFolder;
  readonly manifest: InfinityManifest;
  readonly schedule: Schedule;
  readonly description: GeneratorTraits;
  /** Whether the folder has the graph that turns images into bits. */
  readonly encodes: boolean;
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
  const schedule = findSchedule(manifest, shape);
  const count = schedule.scales.length;
  const { guidance, temperature, topP, topK, guidanceUntil } = manifest.sampling;
  const description: GeneratorTraits = {
    name: folder.name,
    version: folder.modelId,
    scales: schedule.scales.map(([h, w], index) => ({ index, h, w })),
    latent: createCode(manifest, schedule).latent,
    pixelsPerLatent: manifest.image.stride,
    cost: infinityCost(manifest, schedule),
    memory: infinityMemory(manifest, schedule),
    schedule: schedule.id,
    bitsPerToken: manifest.architecture.tokenChannels,
    defaults: {
      guidance: perScale(guidance, count),
      temperature: perScale(temperature, count),
      topP,
      ...(topK === undefined ? {} : { topK }),
      guidanceUntil: Math.min(guidanceUntil ?? count, count),
    },
  };
  return { folder, manifest, schedule, description, encodes: manifest.graphs.vae_encode !== undefined };
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
export interface OpenStageModel {
  readonly description: GeneratorTraits;
  readonly model: StageGraph;
  readonly code: BitCode;
  /** Bits of an image of the schedule's size; absent if the folder has no encoder. */
  readonly encode?: (image: RgbImage) => Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/**
 * Loads weights on the calling thread. All files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function openStageModel(dir: string, options: InfinityOptions = {}): Promise<OpenStageModel> {
  const { folder, manifest, schedule, description } = await readInfinity(dir, options.shape, true);
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
    description,
    model: new StageGraph(parts, schedule, options.rowsAtOnce),
    code,
    ...(encoder ? { encode: createEncoder(() => open(encoder), code, manifest.image.stride) } : {}),
    close: () => disposal[Symbol.asyncDispose](),
  };
}

/** Loads a generator of the Infinity family on the calling thread; see `openStageModel`. */
export async function loadInfinity(dir: string, options: InfinityOptions = {}): Promise<Generator> {
  const { description, model, code, encode, close } = await openStageModel(dir, options);
  return {
    ...description,
    start: (request) => startSession(model, code, request),
    ...(encode ? { encode } : {}),
    [Symbol.asyncDispose]: close,
  };
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
