import { join } from "node:path";
import { Disposal } from "../../core/disposal.ts";
import type { Sampler } from "../../core/sampler.ts";
import { type ModelFolder, openModelFolder } from "../../models/model-folder.ts";
import { openOrtSession } from "../../models/ort-session.ts";
import { loadTokenizer } from "../../models/tokenizer.ts";
import { perScale, type SamplerDescription } from "../sampler-definition.ts";
import { BitCode } from "./code.ts";
import { infinityCost } from "./cost.ts";
import { findSchedule, type InfinityManifest, infinityManifest, type Schedule } from "./manifest.ts";
import { startSession } from "./session.ts";
import { readSidecar } from "./sidecar.ts";
import { type InfinityParts, StageGraph } from "./stage-graph.ts";

export interface InfinityOptions {
  /** Id of a schedule (aspect ratio and size) of the manifest; default: its first. */
  readonly schedule?: string;
  readonly threads?: number;
}

/** A model folder read as far as planning needs. */
export interface InfinityModel {
  readonly folder: ModelFolder;
  readonly manifest: InfinityManifest;
  readonly schedule: Schedule;
  readonly description: SamplerDescription;
}

/**
 * Reads a model folder of the Infinity family without loading weights.
 *
 * @param verify also compare all files with their hashes
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID
 */
export async function readInfinity(dir: string, schedule?: string, verify = false): Promise<InfinityModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = infinityManifest(folder);
  const chosen = findSchedule(manifest, schedule);
  const count = chosen.scales.length;
  const { guidance, temperature, topP, guidanceUntil } = manifest.sampling;
  const description: SamplerDescription = {
    name: folder.name,
    version: folder.modelId,
    scales: chosen.scales.map(([h, w], index) => ({ index, h, w })),
    latent: createCode(manifest, chosen).latent,
    pixelsPerLatent: manifest.image.stride,
    cost: infinityCost(manifest, chosen),
    defaults: {
      guidance: perScale(guidance, count),
      temperature: perScale(temperature, count),
      topP,
      guidanceUntil: Math.min(guidanceUntil ?? count, count),
    },
  };
  return { folder, manifest, schedule: chosen, description };
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
  readonly description: SamplerDescription;
  readonly model: StageGraph;
  readonly code: BitCode;
  close(): Promise<void>;
}

/**
 * Loads weights on the calling thread. All files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function openStageModel(dir: string, options: InfinityOptions = {}): Promise<OpenStageModel> {
  const { folder, manifest, schedule, description } = await readInfinity(dir, options.schedule, true);
  const disposal = new Disposal();
  const parts = await disposal.during(() => openParts(folder, manifest, disposal, options));
  return {
    description,
    model: new StageGraph(parts, schedule),
    code: createCode(manifest, schedule),
    close: () => disposal[Symbol.asyncDispose](),
  };
}

/** Loads a generator of the Infinity family on the calling thread; see `openStageModel`. */
export async function loadInfinity(dir: string, options: InfinityOptions = {}): Promise<Sampler> {
  const { description, model, code, close } = await openStageModel(dir, options);
  return {
    ...description,
    start: (request) => startSession(model, code, request),
    [Symbol.asyncDispose]: close,
  };
}

async function openParts(
  folder: ModelFolder,
  manifest: InfinityManifest,
  disposal: Disposal,
  { threads }: InfinityOptions,
): Promise<InfinityParts> {
  const { graphs, architecture } = manifest;
  const open = async (file: string) =>
    disposal.use(await openOrtSession(join(folder.dir, file), threads === undefined ? {} : { threads }));
  return {
    manifest,
    sidecar: await readSidecar(folder.dir, manifest.sidecar),
    tokenizer: await loadTokenizer(folder.dir, architecture.textMaxLength),
    textEncoder: await open(graphs.text_encoder.file),
    condition: await open(graphs.condition.file),
    step: await open(graphs.step.file),
    decoder: await open(graphs.vae_decode.file),
  };
}
