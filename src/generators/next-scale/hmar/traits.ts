import {
  type GeneratorCost,
  type GeneratorMemory,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import { infinityCost } from "../infinity/cost.ts";
import { scheduleShape } from "../infinity/manifest.ts";
import { infinityMemory } from "../infinity/memory.ts";
import { lookingAhead } from "../look-ahead.ts";
import type { HmarModel } from "./manifest.ts";
import { type HmarSettings, resolveHmar } from "./settings.ts";

/** Everything about a model that needs no weights, under the given settings. @throws TtsVarError CONFIG_INVALID */
export function hmarTraits(model: HmarModel, given?: unknown): GeneratorTraits {
  const { folder, manifest, schedule } = model;
  const settings = resolveHmar(model, given);
  const { id, width, height } = scheduleShape(manifest, schedule);
  const traits: GeneratorTraits = {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: { id, width, height, frames: 1, grain: manifest.image.stride },
    stages: schedule.scales.map(([h, w], index) => ({ index, label: `${h}x${w}`, tokens: h * w, final: 1 })),
    tokens: { kind: "bits", width: manifest.architecture.tokenChannels },
    looks: ["now"],
    can: [
      "keep",
      "log-prob",
      "negative-prompt",
      "prompt-at",
      "refine",
      "rewind",
      ...(manifest.graphs.vae_encode === undefined ? [] : (["encode"] as const)),
    ],
    cost: costOf(model, settings),
    memory: memoryOf(model, settings),
    settings: { ...settings.sampling, passes: settings.passes },
  };
  // A look ahead takes the likeliest tokens of the first pass.
  const { stages } = infinityCost(manifest, schedule, settings.sampling);
  return lookingAhead(traits, settings.sampling.lookAhead, stages);
}

/** The stages' passes, and the masked ones on top: without guidance, each over all tokens of the scale. */
function costOf(model: HmarModel, { sampling, passes }: HmarSettings): GeneratorCost {
  const { manifest, schedule, maskFlops } = model;
  const once = infinityCost(manifest, schedule, sampling);
  return {
    ...once,
    stages: once.stages.map((flops, stage) => flops + (passes[stage]!.length - 1) * maskFlops[stage]!),
    refine: maskFlops,
    refineWhole: true,
  };
}

/** No keys and values stay: candidates keep nothing, and a stage carries nothing from earlier ones. */
function memoryOf({ manifest, schedule }: HmarModel, { sampling }: HmarSettings): GeneratorMemory {
  const whole = infinityMemory(manifest, schedule, sampling, new Array(manifest.architecture.depth).fill(0));
  return { ...whole, kept: whole.kept.map(() => 0) };
}
