import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../core/generator.ts";
import { batchGenerator } from "../batches.ts";
import { canvasSchema, canvasShape, canvasViews, sideOf } from "../canvas/manifest.ts";
import { type CanvasFamily, type CanvasModel, type CanvasParts, canvasDefinition } from "../canvas/open.ts";
import { cellsOf } from "./flow.ts";
import { CellFlowModel } from "./model.ts";
import { cellGuidance, flowSampling, flowSettings } from "./settings.ts";

const schema = canvasSchema.extend({
  family: z.literal("block-flow"),
  sampling: flowSampling,
  /** Side of a cell in tokens. */
  cell: z.int().positive(),
});

type Manifest = z.output<typeof schema>;

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = flowSettings(manifest.sampling, given);
  const { flops, graphs, cell, tokenChannels } = manifest;
  const cells = cellsOf(sideOf(manifest), cell);
  const guided = settings.guidance === 1 ? 1 : 2;
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: canvasShape(manifest),
    stages: cells.map((positions, index) => ({
      index,
      label: `cell ${index + 1}`,
      tokens: positions.length,
      final: (index + 1) / cells.length,
    })),
    tokens: { kind: "vector", width: tokenChannels },
    looks: ["now"],
    can: ["keep", "rewind", "negative-prompt", ...(graphs.narrow === undefined ? [] : (["encode"] as const))],
    cost: {
      prompt: flops.prompt,
      // A pass is one of a cell; a finished cell is read once more, the last one by nobody.
      stages: cells.map((_, index) => {
        const groups = cellGuidance(settings, index, cells.length) === 1 ? 1 : guided;
        const closing = index < cells.length - 1 ? guided : 0;
        return flops.pass * (groups * settings.steps + closing);
      }),
      shared: 0,
      ...canvasViews(manifest),
    },
    memory: null,
    settings: { ...settings },
  };
}

const family: CanvasFamily<Manifest, CanvasParts<Manifest>> = {
  schema,
  traits: traitsOf,
  load: async (parts) => parts,
  create(parts, traits, given) {
    const { sampling, cell, graphs } = parts.manifest;
    const model = new CellFlowModel(parts, cell, flowSettings(sampling, given));
    const generator = batchGenerator(traits, model);
    return graphs.narrow ? { ...generator, encode: (image) => model.encode(image) } : generator;
  },
};

/** A flow by cells in a folder: xAR's (noisy context, stochastic) or ACDiT's (clean context, deterministic). */
export function blockFlowDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}
