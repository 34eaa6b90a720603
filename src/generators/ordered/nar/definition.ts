import * as z from "zod";
import {
  type GeneratorDefinition,
  type GeneratorTraits,
  SPECIFICATION_VERSION,
} from "../../../core/generator.ts";
import { batchGenerator } from "../../batches.ts";
import { type Codebook, codebookEntry, readCodebook } from "../../canvas/codebook.ts";
import { canvasSchema, canvasShape, clipViews, sideOf } from "../../canvas/manifest.ts";
import {
  type CanvasFamily,
  type CanvasModel,
  type CanvasParts,
  canvasDefinition,
} from "../../canvas/open.ts";
import { positionsOf, stagesOf } from "./groups.ts";
import { GroupModel } from "./model.ts";
import { groupSampling, groupSettings } from "./settings.ts";

const schema = canvasSchema
  .extend({
    family: z.literal("ordered-groups"),
    grouping: z.enum(["diagonal", "raster"]),
    /** Of a clip. */
    frames: z.int().min(2).optional(),
    sampling: groupSampling,
    codebook: codebookEntry,
  })
  .refine(({ grouping, frames }) => frames === undefined || grouping === "diagonal", {
    path: ["frames"],
    message: "clips are drawn in diagonals",
  });

type Manifest = z.output<typeof schema>;

interface Loaded {
  readonly parts: CanvasParts<Manifest>;
  readonly codebook: Codebook;
}

function traitsOf({ folder, manifest }: CanvasModel<Manifest>, given: unknown): GeneratorTraits {
  const settings = groupSettings(manifest.sampling, given);
  const { flops, codebook, graphs, grouping, frames = 1 } = manifest;
  const stages = stagesOf(grouping, sideOf(manifest), frames);
  const tokens = frames * sideOf(manifest) ** 2;
  const groups = settings.guidance === 1 ? 1 : 2;
  let known = 0;
  // Every pass reads the start and what is known; the manifest's pass reads everything.
  const costs = stages.map((stage) =>
    stage.reduce((sum, { positions }) => {
      const pass = (groups * flops.pass * (known + 1)) / (tokens + 1);
      known += positions.length;
      return sum + pass;
    }, 0),
  );
  let done = 0;
  return {
    specificationVersion: SPECIFICATION_VERSION,
    name: folder.name,
    version: folder.modelId,
    shape: { ...canvasShape(manifest), frames },
    stages: stages.map((stage, index) => {
      const count = positionsOf(stage).length;
      done += count;
      const label = `${frames > 1 ? "plane" : grouping === "diagonal" ? "diagonal" : "row"} ${index + 1}`;
      return { index, label, tokens: count, final: done / tokens };
    }),
    tokens: { kind: "index", size: codebook.entries },
    looks: ["now"],
    can: [
      "keep",
      "rewind",
      "log-prob",
      "negative-prompt",
      ...(graphs.narrow === undefined ? [] : (["encode"] as const)),
    ],
    cost: {
      prompt: flops.prompt,
      stages: costs,
      // A row's second token follows a draw.
      shared: grouping === "diagonal" ? 1 : 0,
      ...clipViews(manifest, frames),
      // A frame begins with each plane.
      ...(frames > 1 ? { viewShares: stages.map((_, index) => Math.min(1, (index + 1) / frames)) } : {}),
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
    const { sampling, graphs, ...layout } = parts.manifest;
    const model = new GroupModel(parts, codebook, layout, groupSettings(sampling, given));
    const generator = batchGenerator(traits, model);
    return graphs.narrow ? { ...generator, encode: (image) => model.encode(image) } : generator;
  },
};

/** A model of ordered groups in a folder: NAR on anti-diagonals or, for clips, planes, or the raster baseline. */
export function orderedGroupsDefinition(dir: string): GeneratorDefinition {
  return canvasDefinition(dir, family);
}
