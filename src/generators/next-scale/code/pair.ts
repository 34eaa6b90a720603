import { createHash } from "node:crypto";
import { TtsVarError } from "../../../core/errors.ts";
import type { GeneratorCost, GeneratorMemory, GeneratorTraits, ShapeWish } from "../../../core/generator.ts";
import { infinityCost } from "../infinity/cost.ts";
import { infinityMemory } from "../infinity/memory.ts";
import { type InfinityModel, infinityTraits, readInfinity } from "../infinity/open.ts";
import { choosePair, folderOf, type HandOverSettings, type Pair, resolveHandOver } from "./options.ts";

/** Two models that draw together, read as far as planning needs. */
export interface ReadPair {
  readonly names: Pair;
  readonly drafter: InfinityModel;
  readonly refiner: InfinityModel;
}

/**
 * Reads both manifests without loading weights.
 *
 * @throws TtsVarError MODEL_NOT_FOUND, MODEL_INVALID, CONFIG_INVALID, also for models that share no tokenizer
 */
export async function readPair(given: unknown, shape: ShapeWish = {}): Promise<ReadPair> {
  const names = choosePair(given);
  const drafter = await readInfinity(await folderOf(names.drafter), shape);
  // The refiner has to draw the drafter's shape, whatever its own default is.
  const refiner = await readInfinity(await folderOf(names.refiner), { id: drafter.schedule.id });
  const different = differenceOf(drafter, refiner);
  if (different === null) return { names, drafter, refiner };
  throw new TtsVarError(
    "CONFIG_INVALID",
    `model.options: ${names.drafter} cannot hand over to ${names.refiner}: they differ in ${different}; ` +
      "both have to be trained on one image tokenizer with the same scales",
  );
}

/** In what a refiner would read the drafter's tokens wrongly, or null. */
function differenceOf(drafter: InfinityModel, refiner: InfinityModel): string | null {
  const parts = {
    "the image tokenizer": ({ manifest: { graphs } }: InfinityModel) =>
      graphs.vae_decode.approximates ?? graphs.vae_decode.sha256,
    "their scales": ({ schedule }: InfinityModel) => schedule.scales,
    "their code": ({ manifest: { codeMagnitude, architecture } }: InfinityModel) => [
      codeMagnitude ?? null,
      architecture.codeChannels,
      architecture.patchify,
    ],
  };
  const found = Object.entries(parts).find(
    ([, of]) => JSON.stringify(of(drafter)) !== JSON.stringify(of(refiner)),
  );
  return found?.[0] ?? null;
}

/** Settings of a pair in full. @throws TtsVarError CONFIG_INVALID */
export function settingsOf({ drafter, names }: ReadPair, given: unknown): HandOverSettings {
  return resolveHandOver(drafter.manifest.sampling, given, drafter.schedule.scales.length, names);
}

/** Everything about a pair that needs no weights. @throws TtsVarError CONFIG_INVALID */
export function pairTraits(pair: ReadPair, given?: unknown): GeneratorTraits {
  const { drafter, refiner } = pair;
  const settings = settingsOf(pair, given);
  const { sampling, at, ...names } = settings;
  const own = infinityTraits(drafter, sampling);
  const identity = createHash("sha256").update(`${drafter.folder.modelId}\n${refiner.folder.modelId}`);
  return {
    ...own,
    name: "code",
    version: `code@${identity.digest("hex").slice(0, 16)}`,
    // The drafter's caches are gone after the hand-over.
    can: own.can.filter((capability) => capability !== "rewind"),
    cost: pairCost(pair, settings),
    memory: pairMemory(pair, settings),
    settings: { ...sampling, ...names, at },
  };
}

/** The refiner's guidance while it reads the drafted stages: it needs the branches that it will draw with. */
function reading({ at, sampling }: HandOverSettings): { readonly guidanceUntil: number } {
  return { guidanceUntil: at < sampling.guidanceUntil ? sampling.guidance.length : 0 };
}

/** The hand-over's stage pays for the refiner's reading of all stages before it. */
function pairCost({ drafter, refiner }: ReadPair, settings: HandOverSettings): GeneratorCost {
  const { sampling, at } = settings;
  const drafts = infinityCost(drafter.manifest, drafter.schedule, sampling);
  const refined = infinityCost(refiner.manifest, refiner.schedule, sampling);
  const read = infinityCost(refiner.manifest, refiner.schedule, reading(settings)).stages;
  return {
    prompt: drafts.prompt + refined.prompt,
    stages: drafts.stages.map((flops, stage) => {
      if (stage < at) return flops;
      const before = stage === at ? read.slice(0, at).reduce((sum, value) => sum + value, 0) : 0;
      return before + refined.stages[stage]!;
    }),
    shared: 1,
    views: drafts.views,
    drafts: drafts.drafts,
  };
}

function pairMemory({ drafter, refiner }: ReadPair, settings: HandOverSettings): GeneratorMemory {
  const { sampling, at } = settings;
  const drafts = infinityMemory(drafter.manifest, drafter.schedule, sampling);
  const refined = infinityMemory(refiner.manifest, refiner.schedule, sampling);
  const { tokenChannels } = drafter.manifest.architecture;
  /** What the refiner will read, up to a stage. */
  const inputs = (stage: number): number =>
    drafter.schedule.scales
      .slice(1, stage + 1)
      .reduce((sum, [h, w]) => sum + Float32Array.BYTES_PER_ELEMENT * h * w * tokenChannels, 0);
  return {
    weights: drafts.weights + refined.weights,
    prompt: drafts.prompt + refined.prompt,
    kept: drafts.kept.map((bytes, stage) => (stage < at ? bytes + inputs(stage) : refined.kept[stage]!)),
    working: drafts.working.map((bytes, stage) => {
      if (stage < at) return bytes;
      if (stage > at) return refined.working[stage]!;
      // The drafter's caches go when the refiner has read everything.
      return Math.max(...refined.working.slice(0, at + 1)) + drafts.kept[at - 1]! + inputs(at - 1);
    }),
    view: drafts.view,
  };
}
