import { Disposal } from "../../../core/disposal.ts";
import {
  type Generator,
  type GeneratorHost,
  type GeneratorRequest,
  type GeneratorTraits,
  type Shape,
  type ShapeWish,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import type { RgbImage } from "../../../core/image.ts";
import type { Task } from "../../../core/task.ts";
import type { Tokens } from "../../../core/tokens.ts";
import { type ModelFolder, modelFile, openModelFolder } from "../../../inference/folder/model-folder.ts";
import { type OrtSession, openOrtSession } from "../../../inference/runtime/ort-session.ts";
import { chooseShape } from "../../choose-shape.ts";
import { latentEncoder } from "../encode.ts";
import { referenceOf } from "../reference.ts";
import { ResidualCode, type ResidualLayout } from "../residual-code.ts";
import { startSession } from "../session.ts";
import { varCost, varMemory } from "./cost.ts";
import { type VarManifest, varManifest } from "./manifest.ts";
import { VarNetwork } from "./network.ts";
import { samplingOf, varSettings } from "./settings.ts";
import { readVarSidecar, type VarSidecar } from "./sidecar.ts";

/** A model folder read as far as planning needs. */
export interface VarModel {
  readonly folder: ModelFolder;
  readonly manifest: VarManifest;
  readonly shape: Shape;
}

/**
 * Reads a model folder of the VAR family without loading weights.
 *
 * @param verify also compare all files with their hashes
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID for another shape than the model's
 */
export async function readVar(dir: string, wish: ShapeWish = {}, verify = false): Promise<VarModel> {
  const folder = await openModelFolder(dir, { verify });
  const manifest = varManifest(folder);
  const { stride } = manifest.image;
  const side = manifest.sides.at(-1)! * stride;
  const shape = { id: "1:1", width: side, height: side, frames: 1, grain: stride };
  chooseShape([shape], wish);
  return { folder, manifest, shape };
}

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function varTraits({ folder, manifest, shape }: VarModel, given?: unknown): GeneratorTraits {
  const settings = varSettings(manifest, given);
  const encodes = manifest.graphs.vae_encode !== undefined;
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape,
    stages: manifest.sides.map((side, index) => ({
      index,
      label: `${side}x${side}`,
      tokens: side * side,
      final: 1,
    })),
    tokens: { kind: "index", size: manifest.architecture.vocabulary },
    looks: ["now"],
    can: ["keep", "log-prob", ...(encodes ? (["encode", "source", "mask"] as const) : [])],
    cost: varCost(manifest, settings),
    memory: varMemory(manifest, settings),
    settings: { ...settings },
  };
}

function layoutOf({ sides, phi, architecture }: VarManifest, sidecar: VarSidecar): ResidualLayout {
  const { codeChannels: channels, vocabulary: size } = architecture;
  const bias = sidecar["phi.bias"].data;
  const weight = sidecar["phi.weight"].data;
  const part = (data: Float32Array, index: number, length: number) =>
    data.subarray(index * length, (index + 1) * length);
  return {
    scales: sides.map((side) => [side, side] as const),
    codebook: { size, channels, vectors: sidecar.codebook.data },
    phis: Array.from({ length: bias.length / channels }, (_, index) => ({
      weight: part(weight, index, 9 * channels ** 2),
      bias: part(bias, index, channels),
    })),
    phiOf: phi,
  };
}

/** The network of a model folder with its arithmetic, below the level of sessions. */
export interface OpenVar {
  readonly model: VarModel;
  readonly network: VarNetwork;
  readonly layout: ResidualLayout;
  readonly latent?: (image: RgbImage) => Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Loads weights on the calling thread. All files are verified first.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, MODEL_RUNTIME, CONFIG_INVALID
 */
export async function openVar(
  dir: string,
  wish: ShapeWish = {},
  { threads, rowsAtOnce }: Pick<GeneratorHost, "threads" | "rowsAtOnce"> = {},
): Promise<OpenVar> {
  const model = await readVar(dir, wish, true);
  const { folder, manifest } = model;
  const { condition, step, vae_decode, vae_encode } = manifest.graphs;
  const disposal = new Disposal();
  const open = async (graph: Parameters<typeof modelFile>[1]): Promise<OrtSession> =>
    disposal.use(
      await openOrtSession(await modelFile(folder.dir, graph), threads === undefined ? {} : { threads }),
    );
  const parts = await disposal.during(async () => ({
    manifest,
    sidecar: await readVarSidecar(folder.dir, manifest.sidecar),
    condition: await open(condition),
    step: await open(step),
    decoder: await open(vae_decode),
  }));
  const layout = layoutOf(manifest, parts.sidecar);
  const encoder =
    vae_encode && latentEncoder(() => open(vae_encode), new ResidualCode(layout), manifest.image.stride);
  return {
    model,
    network: new VarNetwork(parts, rowsAtOnce),
    layout,
    ...(encoder ? { latent: encoder } : {}),
    close: () => disposal[Symbol.asyncDispose](),
  };
}

/** Loads a generator of the VAR family on the calling thread; see `openVar`. */
export async function loadVar(
  dir: string,
  { shape, settings }: GeneratorRequest = {},
  host: Pick<GeneratorHost, "threads" | "rowsAtOnce"> = {},
): Promise<Generator> {
  // Wrong settings are told before anything is loaded.
  varTraits(await readVar(dir, shape), settings);
  const { model, network, layout, latent, close } = await openVar(dir, shape, host);
  const plain = new ResidualCode(layout);
  const reference = async (task: Task) =>
    latent ? referenceOf(task, latent, (features) => residualTokens(plain, features)) : null;
  const under = (given: unknown, dispose: () => Promise<void>): Generator => {
    const traits = varTraits(model, given);
    const own = varSettings(model.manifest, given);
    const context = {
      network,
      code: new ResidualCode(layout, own.moreSmooth),
      traits,
      settings: samplingOf(own),
    };
    return {
      traits,
      start: async (task, ids) => startSession(context, task, ids, await reference(task)),
      ...(latent ? { encode: async (image: RgbImage) => residualTokens(plain, await latent(image)) } : {}),
      withSettings: async (others) => under(others, async () => undefined),
      [Symbol.asyncDispose]: dispose,
    };
  };
  return under(settings, close);
}

/** Residual quantisation of a latent, scale by scale. */
function residualTokens(code: ResidualCode, latent: Float32Array): Tokens[] {
  let sum: Float32Array | null = null;
  return Array.from({ length: code.stages }, (_, scale) => {
    const data = code.towards(latent, sum, scale);
    sum = code.add(sum, data, scale);
    return { count: code.tokens(scale), data };
  });
}
