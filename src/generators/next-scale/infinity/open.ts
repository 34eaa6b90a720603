import { readFile } from "node:fs/promises";
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
import type { Task } from "../../../core/task.ts";
import type { Tokens } from "../../../core/tokens.ts";
import { type ModelFolder, modelFile, openModelFolder } from "../../../inference/folder/model-folder.ts";
import { tapQueries } from "../../../inference/runtime/graph-taps.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { loadTokenizer } from "../../../inference/runtime/tokenizer.ts";
import { BitCode } from "../bit-code.ts";
import { bitGenerator } from "../bit-generator.ts";
import { readClasses } from "../cache/classes.ts";
import type { Seen } from "../cache/identify.ts";
import { type CachePolicy, keepAll } from "../cache/settings.ts";
import { latentEncoder, quantise } from "../encode.ts";
import { lookingAhead } from "../look-ahead.ts";
import { type Reference, referenceOf } from "../reference.ts";
import { infinityCost } from "./cost.ts";
import { GraphNetwork, type InfinityParts, type StepGraph } from "./graph-network.ts";
import {
  findSchedule,
  type InfinityManifest,
  infinityManifest,
  type Schedule,
  scheduleShape,
} from "./manifest.ts";
import { infinityMemory } from "./memory.ts";
import { type Configurable, resolveInfinity } from "./settings.ts";
import { readSidecar } from "./sidecar.ts";

export interface InfinityOptions extends Pick<GeneratorHost, "threads" | "rowsAtOnce"> {
  /** Folder for the runtime's profiles, one per graph; see `OrtOptions`. */
  readonly profile?: string;
  /** How the cache is cut; default: not at all. */
  readonly policy?: CachePolicy | null;
  /** Told of every head after every scale; keeps everything. */
  readonly observe?: (seen: Seen) => void;
  /** What the manifest must name; default: `infinity`. */
  readonly family?: string;
}

/** A model folder read as far as planning needs. */
export interface InfinityModel extends Configurable {
  readonly folder: ModelFolder;
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
  family = "infinity",
): Promise<InfinityModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = infinityManifest(folder, family);
  return { folder, manifest, schedule: findSchedule(manifest, shape), classes: await readClasses(folder) };
}

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function infinityTraits(model: InfinityModel, given?: unknown): GeneratorTraits {
  const { folder, manifest, schedule } = model;
  const { sampling: settings, cache } = resolveInfinity(model, given);
  const budgets = cache.policy?.budgets;
  const { id, width, height } = scheduleShape(manifest, schedule);
  const traits: GeneratorTraits = {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: { id, width, height, frames: 1, grain: manifest.image.stride },
    stages: schedule.scales.map(([h, w], index) => ({ index, label: `${h}x${w}`, tokens: h * w, final: 1 })),
    tokens: createCode(manifest, schedule).kind,
    looks: ["now"],
    can: [
      "keep",
      // What was cut from a cache is gone.
      ...(cache.policy ? [] : (["rewind"] as const)),
      "log-prob",
      "negative-prompt",
      "prompt-at",
      ...(manifest.graphs.vae_encode === undefined ? [] : (["encode", "source", "mask"] as const)),
    ],
    cost: infinityCost(manifest, schedule, settings, budgets),
    memory: infinityMemory(manifest, schedule, settings, budgets),
    settings: { ...settings, ...cache.settings },
  };
  return lookingAhead(traits, settings.lookAhead);
}

/** The arithmetic of a folder's bits. */
export function createCode(manifest: InfinityManifest, schedule: Schedule): BitCode {
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
  /** The same weights with another policy of the cache. */
  withPolicy(policy: CachePolicy | null): Promise<GraphNetwork>;
  /** Tokens of an image of the schedule's size; absent if the folder has no encoder. */
  readonly encode?: (image: RgbImage) => Promise<Tokens[]>;
  /** Latent that they are quantised from. */
  readonly latent?: (image: RgbImage) => Promise<Float32Array>;
  /** What a task's source keeps of its tokens. */
  readonly reference?: (task: Task) => Promise<Reference | null>;
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
  const model = await readInfinity(dir, shape, true, options.family);
  const { manifest, schedule } = model;
  const { networkOf, open, close } = await openGraphs(model, options);
  const code = createCode(manifest, schedule);
  const encoder = manifest.graphs.vae_encode;
  const latent = encoder && latentEncoder(() => open(encoder), code, manifest.image.stride);
  const tokens = (features: Float32Array): Tokens[] =>
    quantise(code, features).map((data, scale) => ({ count: code.tokens(scale), data }));
  const policy = options.policy ?? (options.observe ? keepAll(manifest.architecture.depth) : null);
  return {
    model,
    network: await networkOf(schedule, policy),
    withPolicy: (other) => networkOf(schedule, other),
    code,
    ...(latent
      ? {
          latent,
          encode: async (image) => tokens(await latent(image)),
          reference: (task) => referenceOf(task, latent, tokens),
        }
      : {}),
    close,
  };
}

type GraphFile = Parameters<typeof modelFile>[1];

/** The graphs of a model folder, which networks of any schedule and policy share; closed together. */
export interface OpenGraphs {
  networkOf(schedule: Schedule, policy: CachePolicy | null): Promise<GraphNetwork>;
  /** One more of its graphs. */
  open(graph: GraphFile): Promise<OrtSession>;
  close(): Promise<void>;
}

/** Loads the weights that drawing needs, on the calling thread. @throws TtsVarError MODEL_INVALID, MODEL_RUNTIME */
export async function openGraphs(
  { folder, manifest }: Pick<InfinityModel, "folder" | "manifest">,
  { threads, profile, rowsAtOnce, observe }: InfinityOptions = {},
): Promise<OpenGraphs> {
  const disposal = new Disposal();
  const open = async (at: GraphFile, graph?: Uint8Array): Promise<OrtSession> => {
    const session = await openOrtSession(await modelFile(folder.dir, at), {
      ...(graph === undefined ? {} : { graph }),
      ...(threads === undefined ? {} : { threads }),
      ...(profile === undefined ? {} : { profile: join(profile, at.file) }),
    });
    return disposal.use(session);
  };
  const { graphs, architecture } = manifest;
  const parts = await disposal.during(() => openParts(folder, manifest, open));
  // Opened when first needed: most generators stay with one of the two.
  const plain = once(async (): Promise<StepGraph> => ({ session: await open(graphs.step), queries: [] }));
  const tapped = once(async (): Promise<StepGraph> => {
    const bytes = await readFile(join(folder.dir, graphs.step.file));
    const { bytes: graph, queries } = tapQueries(bytes, architecture.depth);
    return { session: await open(graphs.step, graph), queries };
  });
  return {
    async networkOf(schedule, policy) {
      const step = await disposal.during(policy ? tapped : plain);
      return new GraphNetwork({ ...parts, step }, schedule, rowsAtOnce, policy, observe);
    },
    open: (graph) => open(graph),
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
  const read = await readInfinity(dir, shape);
  infinityTraits(read, settings);
  const { policy = resolveInfinity(read, settings).cache.policy } = options;
  const { model, network, withPolicy, code, encode, reference, close } = await openNetwork(dir, shape, {
    ...options,
    policy,
  });
  return bitGenerator(
    {
      code,
      under: async (given) => {
        const { sampling, cache } = resolveInfinity(model, given);
        const same = JSON.stringify(cache.policy) === JSON.stringify(policy);
        return {
          traits: infinityTraits(model, given),
          settings: sampling,
          network: same ? network : await withPolicy(cache.policy),
        };
      },
      ...(reference ? { reference } : {}),
      ...(encode ? { encode } : {}),
      close,
    },
    settings,
  );
}

async function openParts(
  { dir }: ModelFolder,
  manifest: InfinityManifest,
  open: (graph: GraphFile) => Promise<OrtSession>,
): Promise<Omit<InfinityParts, "step">> {
  const { graphs, architecture } = manifest;
  return {
    manifest,
    sidecar: await readSidecar(dir, manifest.sidecar),
    tokenizer: await loadTokenizer(dir, architecture.textMaxLength),
    textEncoder: await open(graphs.text_encoder),
    condition: await open(graphs.condition),
    decoder: await open(graphs.vae_decode),
    draftDecoder: graphs.vae_draft ? await open(graphs.vae_draft) : null,
  };
}

/** Runs once, and gives everybody its result. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
