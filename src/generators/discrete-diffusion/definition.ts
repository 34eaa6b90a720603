import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../core/generator.ts";
import { batchGenerator } from "../batches.ts";
import { type Codebook, codebookEntry, readCodebook } from "../canvas/codebook.ts";
import { canvasSchema, canvasShape, canvasViews, sideOf } from "../canvas/manifest.ts";
import { type CanvasFamily, type CanvasModel, type CanvasParts, canvasDefinition } from "../canvas/open.ts";
import { DiffusionModel } from "./model.ts";
import { diffusionSampling, diffusionSettings } from "./settings.ts";

const schema = canvasSchema.extend({
  family: z.literal("discrete-diffusion"),
  sampling: diffusionSampling,
  codebook: codebookEntry,
});

type Manifest = z.output<typeof schema>;

interface Loaded {
  readonly parts: CanvasParts<Manifest>;
  readonly codebook: Codebook;
}

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = diffusionSettings(manifest.sampling, given);
  const { flops, codebook, graphs } = manifest;
  const step = flops.pass * (settings.guidance === 1 ? 1 : 2);
  const stages = Array.from({ length: settings.steps }, (_, index) => index);
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: canvasShape(manifest),
    stages: stages.map((index) => ({
      index,
      label: `t ${settings.steps - index}`,
      tokens: sideOf(manifest) ** 2,
      final: 1,
    })),
    tokens: { kind: "index", size: codebook.entries },
    looks: ["now", "ahead"],
    can: [
      "keep",
      "refine",
      "rewind",
      "log-prob",
      "negative-prompt",
      ...(graphs.narrow === undefined ? [] : (["source"] as const)),
    ],
    cost: {
      prompt: flops.prompt,
      stages: stages.map(() => step),
      shared: 0,
      // The guess at the end falls off every step, so looking ahead costs no pass.
      ...canvasViews(manifest, 0),
      // All of a canvas again means all steps up to here again.
      refine: stages.map((index) => step * (index + 1)),
    },
    memory: null,
    settings: { ...settings },
  };
}

const family: CanvasFamily<Manifest, Loaded> = {
  schema,
  traits: traitsOf,
  load: async (parts) => ({ parts, codebook: await readCodebook(parts, parts.manifest.codebook) }),
  create({ parts, codebook }, traits, given) {
    const settings = diffusionSettings(parts.manifest.sampling, given);
    return batchGenerator(traits, new DiffusionModel(parts, codebook, settings));
  },
};

/** A discrete diffusion model in a folder: VQ-DDM's process over the whole canvas. */
export function discreteDiffusionDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}
